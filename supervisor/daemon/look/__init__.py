"""What the daemon sees of a run: pages, log, processes, checkpoints, memory tier, scheduler.

At each poll `observer.py` reads the heartbeat pages and the log's new lines, and gives one
`Observation` with the core's `Observed` in it. For an overdue attempt the core orders closer looks:
`hang_looks.py` takes stacks (`stack_reading.py`), counters (`process_samples.py`, `movement.py`)
and GPU use, three times. `stacks.py` writes the stacks of a hung attempt into its incident.

`surveyor.py` has checkpoints validated in a child process and `prober.py` has probes made in one.
`memory_tier.py` follows snapshots and their persister. `endings.py` makes an `Ending` of an exit
report, `left_behind.py` follows processes that outlive their main process. `save_watch.py` and
`step_watch.py` find saves in other places and attempts that did not resume. `scheduler.py` asks
SLURM. `surroundings/` reads what an attempt runs in, to compare it with the last good one.

What always holds: a look only finds facts, and the core decides from them. A counter that cannot
be read counts as activity. Checkpoints are read, disks probed and stacks taken by other processes,
which may hang. Two modules also carry out decisions, since they hold the connection:
`memory_tier.py` tells the persister, and `scheduler.py` has SLURM signal and requeue.
"""

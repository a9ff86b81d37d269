"""The processes that the launcher keeps: how each is spawned, kept alive and reaped.

`spawn.py` forks and execs every one of them. The child itself opens the log and changes directory,
so a disk that hangs there hangs only the child. It reports a failed exec through a pipe.

- `daemon.py`: the daemon and the socket to it. It starts the next daemon after each death, with the
  pauses of `backoff.py`. `daemon_watchdog.py` finds a frozen daemon, and `daemon_down.py` says that
  no daemon comes up.
- `trainer.py`: environment, grace and program of an attempt's main process, from a launch order.
- `standby.py`: the parked interpreter, which becomes the next attempt's main process at "go".
- `persister.py`: the process that copies snapshots from memory to the disk.
- `view.py`: the live display.

The launcher's loop has a link object each for daemon, persister and parked interpreter. It asks a
link for its deadline, lets it act when that has come, and tells it when its process was reaped. A
link never waits for its process, and knows at most one living process at a time.
"""

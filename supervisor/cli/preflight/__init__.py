"""What `supervisor check` looks at before a run, one finding each.

`commands/check.py` collects the findings in the order in which a start would need the facts. Then
it prints them and exits. A `Finding` is a value (`finding.py`): what was looked at, its level, a
sentence, and what to do. Only `Level.FAIL` makes `check` exit with 78.

`findings.py` asks most questions, and leaves four to modules of their own: `devices.py` (GPUs),
`lock_probe.py`, `shared_memory.py` with `logind.py`, and `system_calls.py`. `check` itself calls
`pattern_trial.py`, `slurm_site.py` and `descriptors.py`.

Two modules serve other commands. `run` calls `descriptors.make_room`. `systemd` calls
`service_account.py`, which runs `supervisor check --json` as the account of the unit and reads the
findings.

What always holds: no question starts training, CUDA or a job. A file that a question makes is gone
when it is answered.
"""

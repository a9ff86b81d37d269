"""The daemon: the process that decides what becomes of a run.

The launcher starts it (`__main__.py`, `light_imports.py`, `main.py`) and gives it one end of a
socket pair. The daemon reads the kept configuration and the ledger, hears the launcher's hello, and
builds the core's first state from both (`takeover.py`). Then `loop.py` turns: one thread, one
selector.

Each turn collects events, passes each one to `core.step`, and performs the effects that come back.
`look/` makes the events: it reads heartbeat pages, the log, processes, checkpoints and the
scheduler. `act/` performs the effects: orders to the launcher, moved checkpoints, incidents.
`tell/` writes the run down: ledger, log, status.json, terminal, systemd. `attempt.py` holds what
is known of the running attempt, `run.py` what belongs to the run, `parts.py` the working objects.

What always holds: only the core decides, and it does no I/O. Checkpoints are read, hashed and
deleted in child processes, so that a stalled disk does not stall the loop. The daemon may die at
any moment: the next one goes on from the ledger and from the launcher's hello.
"""

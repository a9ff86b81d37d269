"""What the daemon does: every effect that the core decides, and the work around it.

`performer.py` takes one effect at a time from the loop. It has one branch for each kind of effect
and passes the larger ones on: `set_aside.py` moves checkpoints, `standby_orders.py` orders the
spare interpreter. `trainer_environment.py` makes the trainer's command line and environment. What
concerns processes becomes an order to the launcher. `orphan.py` stands in for a dead launcher, and
`launcher_lost.py` takes over its lock. An effect that fails or is answered becomes an event.

`periodic.py` is called at each poll. It writes status.json, records verdicts on checkpoints, has
old checkpoints removed (`pruner.py`) and keeps the ledger's reserve. `clear_before_launch.py` and
`shutdown.py` run once, at the beginning and at the end of a daemon.

What always holds: nothing here decides what becomes of the run. An order goes out through
`parts.orders`, so it reaches the launcher or its stand-in. Another run's checkpoint directory is
left as it is (`directory_claim.py`). A disk that refuses is reported, and training goes on.
"""

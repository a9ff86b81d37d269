"""The launcher: the root of a run's processes. It starts, signals and reaps on the daemon's word.

`supervisor run` becomes this process by exec, through `__main__.py`. `loop.py` collects signals,
ended children and messages, hands each to its place, and sleeps. It makes no decision on the run.

The daemon sends orders (`do`) over a socketpair, and the launcher answers with reports (`is`).
`messages.py` defines both, `message_fields.py` converts them, and `protocol.py` reads JSON objects.

A launch order becomes an `Attempt`. It goes through the phases of `phases.py`: it ends leftovers of
other attempts, starts a main process (`trainer_start.py`), watches that, and ends all that outlives
it. `process_tree.py` finds an attempt's processes, `stop_delivery.py` stops them and
`termination.py` kills them. The other processes that the launcher keeps are in `children/`.

These things always hold. The launcher never waits for the daemon. An attempt is over only when no
process of it lives, and only then may the next one start. The launcher keeps the last exit report
until the next launch, so that a daemon started later learns of it. Nothing from outside the
standard library is imported, to keep the process small.
"""

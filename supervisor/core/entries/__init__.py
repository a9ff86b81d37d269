"""The entries of a run's ledger, one dataclass for each kind; docs/run-directory.md lists them.

`reading.py` knows the kinds in `run.py`, `attempt.py`, `saves.py` and `decision.py`. It reads a
record of any other kind as an `UnknownEntry` (`entry.py`).
"""

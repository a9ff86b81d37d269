"""From `supervisor run` to the launcher.

`commands/run.py` asks here in a fixed order. `admission.py` says from the ledger and the intent
whether the run may start: start, finished, stopped or held. `directory_owner.py` says whether the
checkpoint directory belongs to another run. `living_launcher.py` says whether a launcher or daemon
of the run lives although its lock file was removed. All three only read; `take_over_unseen` alone
writes.

Then `handover.py` acts: it makes the directories, takes the lock, writes the configuration and the
ledger's entries, and replaces this process by the launcher. The lock's descriptor goes along.

`run` asks twice, before and after it takes the lock: only the holder of the lock can be sure that
nobody else changes the record. `check` and `sbatch` ask most of these questions too.

What always holds: a refusal is a SupervisorError with a hint and an exit code. Only the holder of
the lock writes the ledger, or puts the run's mark in the place of another run's. `judge` in
`admission.py` is pure, and the model in `tests/model/` calls it.
"""

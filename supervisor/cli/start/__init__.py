"""From `supervisor run` to the launcher.

`commands/run.py` asks here in a fixed order. For `run -- COMMAND` `command_run.py` finds the run's
configuration, or makes one: `command_words.py` refuses what is no command, `command_name.py` (with
the table `wrappers.py`) finds the name, `arguments.py` says what differs from the run of that name.
Then `admission.py` says from the ledger and the intent whether the run may start: start, finished,
stopped or held. `directory_owner.py` says whether the checkpoint directory belongs to another run.
`living_launcher.py` says whether a launcher or daemon of the run lives although its lock file was
removed. `existing.py` asks what becomes of checkpoints from before the run. All of them only read;
`take_over_unseen` alone writes.

Then `claim` writes the configuration of a new run, and `handover.py` acts: it makes the
directories, takes the lock, writes the configuration and the ledger's entries, and replaces this
process by the launcher. The lock's descriptor goes along.

`run` asks twice, before and after it takes the lock: only the holder of the lock can be sure that
nobody else changes the record. `check` and `sbatch` ask most of these questions too.

What always holds: a refusal is a SupervisorError with a hint and an exit code. Only the holder of
the lock writes the ledger, or puts the run's mark in the place of another run's. `judge` in
`admission.py` is pure, and the model in `tests/model/` calls it.
"""

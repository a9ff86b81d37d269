"""The reference trainer: a loop to read in ten minutes. It imports nothing of the daemon.

`python -m train` (`__main__.py`) reads the command line and the config (`config_file.py`,
`config.py`). Only then it imports torch. `start` in `session.py` chooses the checkpoint, loads the
data (`data.py`) and builds a `TrainingState` (`state.py`). `resume.py` loads the checkpoint into
it, and `position.py` finds the step, epoch and batch at which training goes on.

`Trainer` in `loop.py` decides when to step, evaluate, log, save and stop. `evaluation.py`,
`metrics.py`, `log.py` and `checkpointing.py` do these things. `checkpointing.py` hands the state to
the `Checkpointer` of `supervisor.torch`. The loop beats and reads `should_stop` through the
`Worker` of `supervisor.worker`.

What always holds: after a stop the trainer saves between two optimizer steps, and exits with 75. It
gives up an evaluation or a first compilation for that. A checkpoint at step S means that lines 1 to
S of metrics.jsonl are on the disk. A training that resumes from its own checkpoint draws the random
numbers and batches that it would have drawn without the stop (`randomness.py`, `data.py`). A load
reads all files, and checks weights and optimizer state, before it changes anything.
"""

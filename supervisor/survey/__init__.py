"""What checkpoints a run has, on the disk and in memory, and which is the newest proven good.

A `SurveyRequest` (`request.py`) goes in, a `Survey` (`answer.py`) comes out; both travel as JSON.
The daemon asks a child process for it (`daemon/look/survey_child.py` starts `__main__.py`), since a
disk that stalls must not stall the daemon. `run`, `check` and `checkpoints` call `survey`
themselves.

`survey.py` asks `candidates.py` for the checkpoints in the directory and among those set aside. It
takes a remembered verdict where the checkpoint is unchanged, and has `supervisor.checkpoint` prove
the others, newest first. `memory_tier.py` adds the snapshots in memory. `missing.py` names the
checkpoints that are on record and gone. `torn_first.py` recognises a first save that was cut off,
and `file_clock.py` measures a file server's clock. Where the run shows no checkpoint, `elsewhere/`
looks for the trainer's saves in other places.

What always holds: a survey decides nothing and moves no checkpoint. Its only writes are the verdict
in a snapshot's slot and, for the clock, an empty file for a moment. `remove` of `__main__.py` is
the one mode that deletes. A checkpoint that cannot be read keeps `valid` None, with the reason.
"""

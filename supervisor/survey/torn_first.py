"""A run's first save, cut off by the end of its attempt. Only this bad checkpoint loses nothing.

Two bad checkpoints, or one from before the run, may mean that the proof is wrong. Then the run is
held.
"""

from collections.abc import Sequence

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.core.vocabulary import Tier
from supervisor.survey.request import SurveyRequest

# An attempt that ended this soon after the save was cut off while it saved. Its end is noticed at
# once; a step, read from the log, may be seen a little later, and does not count then.
_LAST_ACT_S = 5.0
# The same where no steps are known. After a longer time the trainer took the save for whole.
_UNTOLD_S = 60.0


def find_torn_first(request: SurveyRequest, entries: Sequence[CheckpointEntry]) -> str | None:
    """The name of the only checkpoint, if it is the last attempt's first save, cut off.

    `entries`: all checkpoints that a survey found, those set aside included.
    """
    begun = request.attempt_wall
    if begun is None or not request.attempt_killed or not request.quiet:
        return None
    if any(one.is_proven for one in request.known):
        return None
    there = [e for e in entries if e.tier != Tier.SET_ASIDE and (e.own_run or e.candidate)]
    since = request.begun_wall or 0.0
    earlier = [e for e in entries if e.tier == Tier.SET_ASIDE and e.own_run and e.mtime >= since]
    if len(there) != 1 or earlier:
        return None
    only = there[0]
    is_torn = only.tier == Tier.DISK and only.own_run and only.valid is False
    is_of_last = only.mtime >= begun and _was_last_act(request, only)
    return only.name if is_torn and is_of_last else None


def _was_last_act(request: SurveyRequest, only: CheckpointEntry) -> bool:
    """Whether the attempt was cut off while it saved, rather than after training on."""
    step, ended = request.attempt_step, request.ended_wall
    if ended is None or ended - only.mtime <= _LAST_ACT_S:
        return True
    if step is not None and only.step is not None:
        return step <= only.step
    return ended - only.mtime <= _UNTOLD_S

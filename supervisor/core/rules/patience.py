"""How long an attempt may stand at a step where an earlier attempt was ended as hung.

It may be at work there: its deadline doubles with each attempt in a row that was ended so.
"""

from supervisor.core.look_facts import HungAt, Judgement
from supervisor.core.states import State

# Four doublings make 16 minutes of 60 s, and eight hours of 30 minutes. `max_failures` holds the
# run before that.
DOUBLINGS_MAX = 4
# An attempt at work is killed ten deadlines after its last step at the earliest, and never before
# half an hour. That is the floor of the phases that are known to take long.
LONGEST_MULTIPLE = 10.0
LONGEST_FLOOR_S = 1800.0
# A trainer may count from 0 and name its checkpoints from 1, or the other way round.
_OFF_BY = 1


def standing_at(state: State) -> int | None:
    """The step that the attempt is at. Before its first beat, the step that it resumed at."""
    return state.begun_at if state.activity.step is None else state.activity.step


def doublings(state: State) -> int:
    """How often the deadline doubles; 0 where no attempt was ended as hung at this step."""
    hung = state.hung_at
    if hung is None or not _is_same(hung.step, standing_at(state)):
        return 0
    return min(hung.times, DOUBLINGS_MAX)


def _is_same(hung: int | None, step: int | None) -> bool:
    # An unknown step may be the same one.
    return hung is None or step is None or abs(hung - step) <= _OFF_BY


def with_hang(before: HungAt | None, step: int | None) -> HungAt:
    """Where the last attempt hung, and how many in a row hung at that step."""
    again = before is not None and _is_same(before.step, step)
    return HungAt(step, before.times + 1 if before is not None and again else 1)


def beyond(hung: HungAt | None, progress: int | None, *, is_new: bool) -> HungAt | None:
    """`hung`, or None once a later step was saved.

    `is_new`: durable progress was made since. It decides where the step of the hang is unknown.
    """
    if hung is None:
        return None
    passed = is_new if hung.step is None else (progress or 0) > hung.step
    return None if passed else hung


def longest_s(judged: Judgement, factor: int) -> float:
    """Seconds without a sign of life after which even an attempt at work is taken for hung."""
    return max(LONGEST_MULTIPLE * judged.limit_s, LONGEST_FLOOR_S) * factor

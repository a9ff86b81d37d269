"""How long an attempt may stand where one before it was ended as hung: there may be work."""

from supervisor.core.look_facts import HungAt, Judgement
from supervisor.core.states import State

# 60 s would be 16 minutes by then, and 30 min eight hours: max_failures holds the run before.
DOUBLINGS_MAX = 4
# What is worked on is killed ten deadlines after its last step at the earliest, and never before
# half an hour: the floor of the phases that are known to take long.
LONGEST_MULTIPLE = 10.0
LONGEST_FLOOR_S = 1800.0
# A trainer counts from 0 and names its checkpoints from 1, or the other way round.
_OFF_BY = 1


def standing_at(state: State) -> int | None:
    """The step that the attempt is at: before its first beat the one that it resumed at."""
    return state.begun_at if state.activity.step is None else state.activity.step


def doublings(state: State) -> int:
    """How often the deadline in force doubles; 0 where nobody was ended as hung at this step."""
    hung = state.hung_at
    if hung is None or not _is_same(hung.step, standing_at(state)):
        return 0
    return min(hung.times, DOUBLINGS_MAX)


def _is_same(hung: int | None, step: int | None) -> bool:
    # A step that nobody knows may be the same one.
    return hung is None or step is None or abs(hung - step) <= _OFF_BY


def with_hang(before: HungAt | None, step: int | None) -> HungAt:
    """Where the last attempt hung, with those before it that stood at the same step."""
    again = before is not None and _is_same(before.step, step)
    return HungAt(step, before.times + 1 if before is not None and again else 1)


def beyond(hung: HungAt | None, progress: int | None, *, is_new: bool) -> HungAt | None:
    """The same, forgotten once something further was saved.

    `is_new`: durable progress was made since; it ends what stood at a step that nobody knows.
    """
    if hung is None:
        return None
    passed = is_new if hung.step is None else (progress or 0) > hung.step
    return None if passed else hung


def longest_s(judged: Judgement, factor: int) -> float:
    """After how long without a sign of life work is taken for a hang all the same."""
    return max(LONGEST_MULTIPLE * judged.limit_s, LONGEST_FLOOR_S) * factor

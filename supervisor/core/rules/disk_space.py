"""Waits for room on a disk: how long, how often, and when waiting is of no use."""

from dataclasses import replace

from supervisor.core.policy import Policy
from supervisor.core.rules.budget import DAY_S
from supervisor.core.states import Budget

FIRST_WAIT_S = 10.0
LONGEST_WAIT_S = 600.0
AGAIN_MOST = 5


def wait_s(budget: Budget, looks: int = 0) -> float:
    """How long until the next look, after `looks` that found no room; in seconds.

    The wait doubles with each look, and with each death that came after a look had found room.
    """
    doublings = min(max(budget.full_deaths - 1, 0) + looks, 30)
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**doublings)


def with_full_disk(budget: Budget, now: float) -> Budget:
    """The budget after a death on a full disk: charged to the day's failures, not the run's."""
    return replace(
        budget,
        full_deaths=budget.full_deaths + 1,
        recent=(*(t for t in budget.recent if now - t < DAY_S), now),
        progressed=False,
    )


def why_held(budget: Budget, policy: Policy, place: str | None) -> str | None:
    """Why the run stops waiting for room and is held. None: it goes on waiting."""
    again = budget.full_deaths - 1
    if again >= AGAIN_MOST:
        where = "the checkpoint directory" if place is None else place
        return (
            f"{again} times the supervisor found room in {where}, but the trainer's write failed"
            " again without progress: there may be a quota that only the file server knows"
        )
    if len(budget.recent) >= policy.max_per_day:
        spent = len(budget.recent)
        return f"{spent} failures within a day (restart.max_per_day: {policy.max_per_day})"
    return None

"""What restarts cost: budgets refill only when durable progress advances, never by uptime."""

import hashlib
from dataclasses import replace

from supervisor.core.ending import Ending
from supervisor.core.policy import Policy
from supervisor.core.states import Budget, Checkpoint, State
from supervisor.core.vocabulary import Tier
from supervisor.core.wording import counted

DAY_S = 86_400.0
ROLLBACK_REPEATS = 2
HOLD_REPEATS = 3
JITTER = 0.25


def with_progress(budget: Budget, candidates: tuple[Checkpoint, ...], *, ahead: bool) -> Budget:
    """The budget after a survey: refilled when a validated step lies above all earlier ones.

    Where a checkpoint does not tell its step (`ckpt.pt`, rewritten in place), a newer one counts
    if training was seen `ahead` of all earlier attempts. In a directory that the trainer named,
    the step lies above the earlier ones of that directory: a second stage counts from 1 again.
    """
    # A snapshot in memory never counts: a power cut would destroy it.
    mine = [c for c in candidates if c.own_run and c.tier != Tier.MEMORY]
    furthest = max((c for c in mine if c.step is not None), key=_step, default=None)
    newest, place = (None, None) if furthest is None else (furthest.step, furthest.place)
    reached = budget.progress_step if place is None else dict(budget.progress_places).get(place)
    higher = newest is not None and (reached is None or newest > reached)
    times = [c.written for c in mine if c.step is None and c.written is not None]
    latest = max(times, default=None)
    before = budget.progress_written
    later = ahead and latest is not None and (before is None or latest > before)
    if not higher and not later:
        return budget
    return replace(
        with_place(with_headway(budget), place if higher else None, newest),
        progress_step=newest if higher else budget.progress_step,
        progress_written=latest if later else before,
    )


def _step(checkpoint: Checkpoint) -> int:
    return -1 if checkpoint.step is None else checkpoint.step


def with_place(budget: Budget, place: str | None, step: int | None) -> Budget:
    """The budget that knows the highest step in a directory that the trainer named."""
    if place is None or step is None:
        return budget
    known = {**dict(budget.progress_places), place: step}
    return replace(budget, progress_places=tuple(known.items()))


def with_headway(budget: Budget) -> Budget:
    """The budget refilled, since the run gets further: by a checkpoint, or by steps alone."""
    return replace(_refilled(budget), progressed=True)


def cleared(budget: Budget) -> Budget:
    """The budget refilled by a person, who may have changed anything: no earlier death counts."""
    return replace(_refilled(budget), died_in_training=())


def _refilled(budget: Budget) -> Budget:
    budget = replace(budget, failures=0, signature=None, repeats=0, outages=0)
    return replace(budget, full_deaths=0, free_restarts=0)


def is_ahead(state: State) -> bool:
    """Whether the attempt was seen beyond all earlier ones. An unknown step counts as beyond."""
    step = state.activity.step if state.ending is None else state.ending.step
    return step is None or state.reached_before is None or step > state.reached_before


def with_failure(budget: Budget, ending: Ending, now: float) -> Budget:
    """The budget after a failure was charged to it."""
    signature = ending.signature
    same = signature is not None and signature == budget.signature
    return replace(
        budget,
        failures=budget.failures + 1,
        recent=(*(t for t in budget.recent if now - t < DAY_S), now),
        signature=signature,
        repeats=budget.repeats + 1 if same else 1 if signature is not None else 0,
        progressed=False,
    )


def with_free_restart(budget: Budget) -> Budget:
    """The budget after an end that is free: it costs nothing, and only the pause grows."""
    return replace(budget, free_restarts=budget.free_restarts + 1)


def exhausted(budget: Budget, policy: Policy) -> str | None:
    """Why no further restart may be spent; None while one may."""
    if budget.repeats >= HOLD_REPEATS and budget.signature is not None:
        exception, frame, step = budget.signature
        where = f" in {frame}" if frame else ""
        at = f" at step {step}" if step is not None else " before the first step"
        return f"the same death {budget.repeats} times without progress: {exception}{where}{at}"
    if budget.failures >= policy.max_failures:
        return (
            f"{counted(budget.failures, 'failure')} without a newer validated checkpoint"
            f" (restart.max_failures: {policy.max_failures})"
        )
    if len(budget.recent) >= policy.max_per_day:
        spent = counted(len(budget.recent), "failure")
        return f"{spent} within a day (restart.max_per_day: {policy.max_per_day})"
    return None


def backoff_s(policy: Policy, failures: int, attempt: int) -> float:
    """How long to wait before the next attempt, in seconds.

    Exponential with jitter (AWS Architecture Blog, "Exponential Backoff and Jitter"). The jitter
    is drawn from the run's seed and the attempt, so that a replay of the ledger waits as long.
    """
    exponent = min(max(failures - 1, 0), 60)
    full = min(policy.backoff_max_s, policy.backoff_s * 2.0**exponent)
    digest = hashlib.blake2b(f"{policy.seed}:{attempt}".encode(), digest_size=4).digest()
    return full * (1.0 - JITTER * int.from_bytes(digest, "big") / 0xFFFFFFFF)

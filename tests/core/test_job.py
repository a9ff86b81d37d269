"""Decisions in a scheduler's job: its end shortens the grace, and requeues are limited."""

from dataclasses import replace

import pytest

from supervisor.core.effects import Rescue, SendKill, SendStop
from supervisor.core.events import Exited, JobSeen, MemorySeen, Rescued, StopAsked, Suspended, Tick
from supervisor.core.job import Job, JobEnd
from supervisor.core.policy import Policy
from supervisor.core.rules.resumption import initial_state
from supervisor.core.snapshot_facts import MemorySnapshot
from supervisor.core.vocabulary import RunState, StopSource
from tests.core.world import World, checkpoint, died, history_of

JOB = Job("17")


def running(job: Job = JOB, **more: object) -> World:
    """A run in a job whose first attempt runs from step 100."""
    world = World(checkpoints=(checkpoint(100),), policy=Policy(**more))  # type: ignore[arg-type]
    world.feed(JobSeen(job))
    world.begin()
    return world


def test_the_job_shortens_the_grace() -> None:
    """The time that SLURM leaves counts if it is less than the grace."""
    world = running(replace(JOB, until=1030.0))
    world.feed(StopAsked(StopSource.SIGUSR1))
    assert world.state.stop is not None
    assert world.state.stop.until == 1030.0
    assert "up to 30 s" in str(world.effects[-1])


def test_a_preemption_that_is_seen_later_shortens_it_again() -> None:
    """EndTime is read again after the notice: an earlier end counts, a later one does not."""
    world = running()
    world.feed(StopAsked(StopSource.SIGTERM))
    effects = world.feed(JobSeen(replace(JOB, end=JobEnd.PREEMPTED, until=1020.0)))
    assert world.state.wake_at == 1020.0
    assert effects == [SendStop(1, 20.0)], "the main process's turn comes earlier"
    assert not world.feed(JobSeen(replace(JOB, end=JobEnd.PREEMPTED, until=1090.0)))
    assert world.state.wake_at == 1020.0
    world.now = 1020.0
    assert SendKill(1) in world.feed(Tick())


@pytest.mark.parametrize(("until", "ends"), [(1030.0, 1030.0), (1100.0, 1100.0), (None, 1160.0)])
def test_a_suspend_gives_no_more_than_the_job_has(until: float | None, ends: float) -> None:
    """The scheduler's clock goes on during a suspend: the grace never passes the job's end."""
    world = running(replace(JOB, until=until), grace_s=60.0)
    world.feed(StopAsked(StopSource.SIGTERM))
    world.now += 20
    world.feed(Suspended(100.0))
    assert world.state.stop is not None
    assert (world.state.stop.until, world.state.wake_at) == (ends, ends)


def test_a_save_that_does_not_fit_is_not_begun() -> None:
    """Without a snapshot in memory the attempt is killed without a save."""
    world = running(replace(JOB, until=1020.0, save_s=60.0))
    effects = world.feed(StopAsked(StopSource.SIGTERM))
    assert SendKill(1) in effects
    assert not any(isinstance(effect, SendStop) for effect in world.effects)
    assert "a save takes 60 s, but only 20 s are left. So no save is begun" in str(effects)
    assert world.state.run is RunState.DRAINING


def test_memory_stands_in_for_a_save_that_does_not_fit() -> None:
    """The snapshot is put onto the disk first, and then the attempt is killed."""
    world = running(replace(JOB, until=1020.0, save_s=60.0))
    world.feed(MemorySeen(MemorySnapshot(3, 140, persist_s=5.0)))
    effects = world.feed(StopAsked(StopSource.SIGTERM))
    assert [type(effect) for effect in effects if isinstance(effect, Rescue | SendKill)] == [Rescue]
    assert world.feed(Rescued(is_durable=True)) == [SendKill(1)]
    world.checkpoints = (checkpoint(140), checkpoint(100))
    world.end(code=None, signal=9, step=150)
    assert world.state.run is RunState.PREEMPTED
    assert "saved at step 140; 10 steps since then are lost" in world.state.reason


def test_a_snapshot_too_large_for_what_is_left_is_not_waited_for() -> None:
    """A snapshot that takes longer than the time left would be cut off."""
    world = running(replace(JOB, until=1020.0, save_s=60.0))
    world.feed(MemorySeen(MemorySnapshot(3, 140, persist_s=30.0)))
    assert SendKill(1) in world.feed(StopAsked(StopSource.SIGTERM))


def test_outside_of_a_job_no_save_is_too_long() -> None:
    """Outside of a job no end is known: only the user's grace counts."""
    world = running(replace(JOB, save_s=600.0))
    assert SendStop(1, world.policy.grace_s) in world.feed(StopAsked(StopSource.SIGTERM))


@pytest.mark.parametrize(
    ("end", "failure", "action"),
    [
        (JobEnd.PREEMPTED, "preempted", "resume_later"),
        (JobEnd.TIME_LIMIT, "time_limit", "resume_later"),
        (JobEnd.CANCELLED, "cancelled", "none"),
        (JobEnd.REQUEUED, "preempted", "resume_later"),
        (None, "preempted", "resume_later"),
    ],
)
def test_the_reason_is_named(end: JobEnd | None, failure: str, action: str) -> None:
    """The scheduler's act names the failure, which is neither an incident nor charged."""
    world = running(replace(JOB, end=end))
    world.feed(StopAsked(StopSource.SIGTERM))
    world.checkpoints = (checkpoint(130), *world.checkpoints)
    world.end(code=75, step=130)
    assert world.state.run is RunState.PREEMPTED
    assert (world.state.failure, world.state.action) == (failure, action)
    assert "Incident" not in world.kinds()
    assert world.state.budget.failures == 0


def test_a_user_who_stops_it_is_the_reason() -> None:
    """A user's SIGINT is the reason, even near the job's end."""
    world = running(replace(JOB, end=JobEnd.TIME_LIMIT, until=1030.0))
    world.feed(StopAsked(StopSource.SIGINT))
    world.end(code=75, step=100)
    assert world.state.failure == "stopped_by_user"


def one_job(past: list[dict[str, object]], progress: bool) -> World:
    """Run one more job that is preempted; `past` is the ledger, and grows."""
    world = World(checkpoints=(checkpoint(100),), policy=Policy(max_failures=3))
    world.state = initial_state(history_of(past), world.policy, now=1000.0, wall=2000.0)
    if progress:
        world.checkpoints = (checkpoint(100 + world.state.attempt * 10 + 10), checkpoint(100))
    world.feed(JobSeen(replace(JOB, end=JobEnd.PREEMPTED)))
    world.begin()
    world.feed(StopAsked(StopSource.SIGTERM))
    world.feed(Exited(died(world.state.attempt, code=75, step=105)))
    world.survey()
    past.append({"type": "attempt_started", "attempt": world.state.attempt, "wall": 1.0})
    for kind in ("progress", "attempt_ended", "decision"):
        past.extend({**entry, "wall": 1.0} for entry in world.records(kind))
    return world


def test_jobs_that_get_nowhere_end_held() -> None:
    """After the first job, three more without progress get the run held for a human."""
    past: list[dict[str, object]] = []
    states = [one_job(past, progress=False).state.run for _ in range(4)]
    assert states == [RunState.PREEMPTED] * 3 + [RunState.HELD]


def test_jobs_that_get_on_are_requeued_for_ever() -> None:
    """Seven preemptions, each with a newer checkpoint, do not get the run held."""
    past: list[dict[str, object]] = []
    assert {one_job(past, progress=True).state.run for _ in range(7)} == {RunState.PREEMPTED}

"""The memory tier in decisions: resumed from at once, rescued in time, never called durable."""

from dataclasses import replace

import pytest

from supervisor.core.effects import (
    Effect,
    Exit,
    Launch,
    Rescue,
    SendKill,
    SetAside,
    SurveyCheckpoints,
)
from supervisor.core.events import (
    Begun,
    Exited,
    IntentChanged,
    MemorySeen,
    Observed,
    Rescued,
    StopAsked,
    SurveyFailed,
    Suspended,
    Tick,
)
from supervisor.core.policy import Policy
from supervisor.core.reactions.persist_snapshot import AFTER_STOP_S, MARGIN, PATIENCE_S, SLACK_S
from supervisor.core.snapshot_facts import MemorySnapshot
from supervisor.core.vocabulary import Intent, Phase, RunState, StopSource
from tests.core.world import World, checkpoint, died, snapshot

BAD_BATCH = {"exception": "ValueError", "frame": "train.py:9 in step"}


def running(**policy: object) -> World:
    """A world whose attempt runs from step 100 on the disk."""
    facts: dict[str, object] = {"has_resume_args": True, **policy}
    world = World(policy=Policy(**facts), checkpoints=(checkpoint(100),))  # type: ignore[arg-type]
    world.begin()
    return world


def launches(effects: list[Effect]) -> list[Launch]:
    """The launches among effects."""
    return [effect for effect in effects if isinstance(effect, Launch)]


def has(effects: list[Effect], kind: type) -> bool:
    """Whether an effect of that kind is among them."""
    return any(isinstance(effect, kind) for effect in effects)


def see(world: World, step: int, **more: object) -> None:
    """The daemon sees a snapshot as the newest; persisting it takes ten seconds."""
    facts: dict[str, object] = {"persist_s": 10.0, **more}
    world.feed(MemorySeen(MemorySnapshot(step, step, **facts)))  # type: ignore[arg-type]


def test_a_crash_relaunches_at_once_from_memory_and_rescues_behind_it() -> None:
    """The launch comes first, and the persister works in the background."""
    world = running()
    world.checkpoints = (snapshot(137), *world.checkpoints)
    effects = world.end(code=None, signal=9, failure="killed", step=140)
    (launch,) = launches(effects)
    assert launch.checkpoint == snapshot(137)
    names = [type(effect).__name__ for effect in effects]
    assert names.index("Launch") < names.index("Rescue")
    assert world.state.rescue is None


def test_memory_is_no_durable_progress() -> None:
    """A snapshot in memory does not refill the budget; a checkpoint on the disk does."""
    world = running(max_failures=3)
    for step in (137, 157):
        world.checkpoints = (snapshot(step), checkpoint(100))
        world.launched(world.end(step=step + 3))
    assert world.state.budget.failures == 2
    assert world.state.budget.progress_step == 100
    assert world.state.newest == checkpoint(100)
    world.checkpoints = (checkpoint(157), checkpoint(100))
    world.survey()
    assert world.state.budget.progress_step == 157
    assert world.state.budget.failures == 0


def test_the_same_death_from_the_same_snapshot_waits_and_then_ends() -> None:
    """Without a step beyond its snapshot the run first pauses, and is held in the end."""
    world = running(max_failures=3)
    world.checkpoints = (snapshot(137), checkpoint(100))
    world.launched(world.end(step=138))
    assert world.state.run is RunState.RUNNING
    effects = world.end(step=138)
    assert world.state.run is RunState.BACKOFF
    assert has(effects, Rescue)
    world.now += 400
    world.feed(Tick())
    world.launched(world.survey())
    effects = world.end(step=138)
    assert not has(effects, Exit)
    assert has(effects, Rescue)
    effects = world.feed(Rescued(is_durable=False, error="No space left on device"))
    assert effects == [SurveyCheckpoints()]
    effects = world.survey()
    assert world.exit_codes() == [1]
    assert world.state.run is RunState.HELD
    assert "the snapshot of step 137 could not be put onto the disk" in world.state.reason
    assert "No space left on device" in world.state.reason
    assert "/shm/snapshots" in world.state.reason


def test_what_rotted_on_the_disk_makes_way_for_what_is_in_memory() -> None:
    """A rotten checkpoint of the snapshot's step is set aside, else the persister would find it."""
    world = running()
    world.checkpoints = (snapshot(137), checkpoint(100))
    world.feed(StopAsked(StopSource.SIGTERM))
    world.feed(Exited(died(world.state.attempt, code=75, failure="preempted", step=137)))
    rotten = ((checkpoint(137).path, "model.pt does not match its hash"),)
    effects = world.survey(rotten)
    assert [type(effect).__name__ for effect in effects] == ["SetAside", "Rescue", "Say"]
    assert effects[0] == SetAside(rotten, (), None)
    world.feed(Rescued(is_durable=True))
    world.checkpoints = (checkpoint(137), checkpoint(100))
    world.survey()
    assert world.exit_codes() == [75]
    assert "memory" not in world.state.reason


def test_rollback_from_memory_voids_what_it_leaves_behind() -> None:
    """The same death twice goes back one snapshot; the newest is set aside and not rescued."""
    world = running()
    world.checkpoints = (snapshot(137), snapshot(130), checkpoint(100))
    world.launched(world.end(**BAD_BATCH, step=140))
    effects = world.end(**BAD_BATCH, step=140)
    assert world.state.run is RunState.BACKOFF
    world.now += 400
    world.feed(Tick())
    effects = world.survey()
    (launch,) = launches(effects)
    assert launch.checkpoint == snapshot(130)
    (aside,) = [effect for effect in effects if isinstance(effect, SetAside)]
    assert aside.later == (snapshot(137).path,)
    # The snapshot that the run goes back to is in memory alone.
    assert [type(effect).__name__ for effect in effects][-2:] == ["Launch", "Rescue"]


def test_rollback_to_the_disk_rescues_nothing() -> None:
    """A snapshot after the step that the run goes back to is not rescued."""
    world = running()
    world.checkpoints = (snapshot(137), checkpoint(100))
    world.launched(world.end(**BAD_BATCH, step=140))
    world.end(**BAD_BATCH, step=140)
    world.now += 400
    world.feed(Tick())
    effects = world.survey()
    assert launches(effects)[0].checkpoint == checkpoint(100)
    assert not has(effects, Rescue)


def test_snapshot_on_the_disk_already_is_not_rescued() -> None:
    """With both tiers at the same step there is nothing to rescue."""
    world = running()
    world.checkpoints = (checkpoint(137), snapshot(137), checkpoint(100))
    assert not has(world.end(step=140), Rescue)


def test_a_stop_rescues_as_late_as_is_safe() -> None:
    """The rescue begins when the rest of the grace is just enough for persisting."""
    world = running(grace_s=60.0)
    see(world, 120)
    effects = world.feed(StopAsked(StopSource.SIGTERM))
    assert not has(effects, Rescue)
    due = world.now + 60 - MARGIN * 10 - SLACK_S
    assert world.state.wake_at == due
    # The trainer makes a step and a snapshot of it, which then is on the disk.
    see(world, 121)
    assert world.state.wake_at == due
    see(world, 121, is_durable=True)
    assert world.state.wake_at == world.now + 60
    see(world, 122)
    world.now = due
    effects = world.feed(Tick())
    assert has(effects, Rescue)
    assert world.state.run is RunState.DRAINING
    world.now = due + 1
    see(world, 123)
    assert world.feed(Tick()) == []
    world.now = due + MARGIN * 10 + SLACK_S
    assert has(world.feed(Tick()), SendKill)
    assert sum(isinstance(effect, Rescue) for effect in world.effects) == 1


def test_a_stop_with_too_little_grace_rescues_at_once() -> None:
    """Three seconds of grace are less than persisting takes: the rescue begins at once."""
    world = running(grace_s=3.0)
    see(world, 120)
    world.feed(StopAsked(StopSource.SIGTERM))
    assert has(world.feed(Tick()), Rescue)
    assert world.state.wake_at == world.now + 3.0


def test_a_save_that_became_durable_spares_the_rescue() -> None:
    """A survey may see the checkpoint on the disk before the daemon looks at the memory."""
    world = running(grace_s=60.0)
    see(world, 120)
    world.feed(StopAsked(StopSource.SIGTERM))
    world.checkpoints = (checkpoint(120), checkpoint(100))
    world.survey()
    world.now += 50
    assert world.feed(Tick()) == []
    assert world.state.wake_at == pytest.approx(world.now + 10)


def test_suspend_moves_the_whole_grace() -> None:
    """Both the rescue and the kill move by the time of the suspend."""
    world = running(grace_s=60.0)
    see(world, 120)
    world.feed(StopAsked(StopSource.SIGTERM))
    due = world.state.wake_at
    assert due is not None
    world.now += 100
    world.feed(Suspended(100.0))
    assert world.state.wake_at == due + 100
    see(world, 121)
    assert world.state.wake_at == due + 100


def test_killed_at_the_end_of_the_grace_waits_for_the_rescue() -> None:
    """The reason names the step that reached the disk."""
    world = running(grace_s=60.0)
    see(world, 130)
    world.feed(StopAsked(StopSource.SIGTERM))
    world.now += 61
    world.feed(Tick())
    world.feed(Tick())
    world.checkpoints = (snapshot(130), checkpoint(100))
    effects = world.end(code=None, signal=9, step=137)
    assert not has(effects, Exit)
    assert world.state.run is RunState.DRAINING
    assert world.state.wake_at == world.now + AFTER_STOP_S
    world.checkpoints = (checkpoint(130), snapshot(130), checkpoint(100))
    world.feed(Rescued(is_durable=True))
    world.survey()
    assert world.state.run is RunState.PREEMPTED
    assert world.exit_codes() == [75]
    assert "saved at step 130; 7 steps since then are lost" in world.state.reason
    (ended,) = world.records("attempt_ended")
    assert ended["saved"] is True


def test_a_persister_that_does_not_answer_is_not_waited_for_after_a_stop() -> None:
    """When the wait for a dead persister is over, the run is preempted and the loss is named."""
    world = running(grace_s=60.0)
    see(world, 130)
    world.feed(StopAsked(StopSource.SIGTERM))
    world.checkpoints = (snapshot(130), checkpoint(100))
    world.end(code=1, step=137)
    world.now += AFTER_STOP_S + 1
    assert world.feed(Tick()) == [SurveyCheckpoints()]
    world.survey()
    assert world.state.run is RunState.PREEMPTED
    assert "step 100, from before the stop; 37 steps since then are lost" in world.state.reason
    assert "stays in memory (/shm/snapshots)" in world.state.reason


def test_third_interrupt_ends_the_wait_for_the_persister() -> None:
    """A user who presses Ctrl-C three times does not wait."""
    world = running()
    see(world, 130)
    world.feed(StopAsked(StopSource.SIGINT))
    world.checkpoints = (snapshot(130), checkpoint(100))
    world.end(code=1, step=137)
    world.feed(StopAsked(StopSource.SIGINT))
    assert world.exit_codes() == []
    world.feed(StopAsked(StopSource.SIGINT))
    assert world.exit_codes() == [75]


@pytest.mark.parametrize("ending", [{"code": 78}, {"code": 1, "action": "hold"}])
def test_a_hold_rescues_first(ending: dict[str, object]) -> None:
    """A human may come only after days, so the snapshot is put onto the disk before the end."""
    world = running()
    world.checkpoints = (snapshot(130), checkpoint(100))
    effects = world.end(**ending, step=137)
    assert has(effects, Rescue)
    assert world.exit_codes() == []
    assert world.state.wake_at == world.now + PATIENCE_S
    assert world.records("attempt_ended") == []
    world.checkpoints = (checkpoint(130), checkpoint(100))
    world.feed(Rescued(is_durable=True))
    world.survey()
    assert world.exit_codes() == [1]
    assert world.state.run is RunState.HELD
    assert len(world.records("attempt_ended")) == 1


def test_a_finish_that_is_only_in_memory_is_none() -> None:
    """After exit 0 the last snapshot is persisted first; if that fails, the run is held."""
    world = running()
    world.checkpoints = (snapshot(200, kind="final"), checkpoint(100))
    world.end(code=0, failure="completed", step=200)
    assert world.exit_codes() == []
    world.feed(Rescued(is_durable=False, error="Input/output error"))
    world.survey()
    assert world.state.run is RunState.HELD
    assert "Input/output error" in world.state.reason
    again = running()
    again.checkpoints = (snapshot(200, kind="final"), checkpoint(100))
    again.end(code=0, failure="completed", step=200)
    again.checkpoints = (checkpoint(200, kind="final"), checkpoint(100))
    again.feed(Rescued(is_durable=True))
    again.survey()
    assert again.state.run is RunState.COMPLETED
    assert again.exit_codes() == [0]


@pytest.mark.parametrize(
    ("event", "then", "final"),
    [
        (StopAsked(StopSource.SIGTERM), RunState.DRAINING, RunState.PREEMPTED),
        (IntentChanged(Intent.STOP), RunState.DRAINING, RunState.STOPPED),
        (IntentChanged(Intent.HOLD), RunState.LAUNCHING, RunState.HELD),
    ],
)
def test_leaving_a_pause_rescues_first(
    event: StopAsked | IntentChanged, then: RunState, final: RunState
) -> None:
    """A run stopped or held between two attempts waits for its background rescue."""
    world = running()
    world.checkpoints = (snapshot(137), checkpoint(100))
    world.launched(world.end(step=138))
    world.end(step=138)
    assert world.state.run is RunState.BACKOFF
    see(world, 137)
    assert world.feed(event)[-1] == SurveyCheckpoints()
    assert world.state.run is then
    world.survey()
    assert world.exit_codes() == []
    world.checkpoints = (checkpoint(137), checkpoint(100))
    world.feed(Rescued(is_durable=True))
    world.survey()
    assert world.state.run is final
    assert len(world.exit_codes()) == 1


def test_pause_with_everything_on_the_disk_is_left_at_once() -> None:
    """With nothing in memory alone, the run leaves its pause at once."""
    world = running()
    world.end(step=138)
    world.end(step=138)
    see(world, 137, is_durable=True)
    world.feed(StopAsked(StopSource.SIGTERM))
    assert world.state.run is RunState.PREEMPTED


def test_a_hang_rescues_before_the_kill() -> None:
    """Stacks take time, and a process in state D may never end: the rescue comes first."""
    world = running(heartbeat_timeout_s=5.0)
    see(world, 130)
    facts = {"attached": True, "beating": True, "phase": Phase.STEP}
    world.feed(Observed(1, **facts, beat_age_s=6.0))  # type: ignore[arg-type]
    effects = world.looked()
    names = [type(effect).__name__ for effect in effects]
    assert names.index("Rescue") < names.index("TakeStacks")
    assert world.state.run is RunState.KILLING
    durable = running(heartbeat_timeout_s=5.0)
    see(durable, 130, is_durable=True)
    durable.feed(Observed(1, **facts, beat_age_s=6.0))  # type: ignore[arg-type]
    effects = durable.looked()
    assert not has(effects, Rescue)


def test_full_disk_decides_nothing_before_there_is_room() -> None:
    """The rescue would fail as the save did: it comes with the launch once there is space."""
    world = running()
    world.checkpoints = (snapshot(137), checkpoint(100))
    effects = world.end(failure="disk_full", step=140)
    assert world.state.run is RunState.WAITING
    assert not has(effects, Rescue)


def test_a_new_supervisor_goes_on_from_what_a_dead_one_left_in_memory() -> None:
    """After the launcher was killed, the next run finds the snapshot of the same run id."""
    world = World(policy=Policy(has_resume_args=True))
    world.checkpoints = (snapshot(137), checkpoint(100))
    world.feed(Begun(Intent.RUN))
    effects = world.survey()
    assert launches(effects)[0].checkpoint == snapshot(137)
    assert has(effects, Rescue)


def test_snapshots_prove_that_the_trainer_is_told_where_to_resume() -> None:
    """A trainer with snapshots is told where to resume, even if no beat was seen: not held."""
    world = World()
    world.checkpoints = (snapshot(3),)
    world.state = replace(world.state, attempt=1)
    world.feed(Begun(Intent.RUN))
    assert launches(world.survey())[0].checkpoint == snapshot(3)


def test_a_daemon_that_comes_after_asks_again() -> None:
    """A daemon killed before the persister's answer: the next judges the end and asks again."""
    world = World(policy=Policy(has_resume_args=True))
    world.checkpoints = (snapshot(130), checkpoint(100))
    world.feed(Begun(Intent.RUN, alive=True))
    world.feed(Exited(died(0, code=78)))
    effects = world.survey()
    assert has(effects, Rescue)
    world.feed(Rescued(is_durable=True))
    world.checkpoints = (checkpoint(130), checkpoint(100))
    world.survey()
    assert world.exit_codes() == [1]


def test_late_answers_are_only_noted() -> None:
    """An answer to a background rescue changes nothing of the running attempt."""
    world = running()
    before = world.state
    assert world.feed(Rescued(is_durable=True)) == []
    assert world.state == before


def test_a_survey_that_fails_begins_the_wait_anew() -> None:
    """When the file system is back, the rescue of the snapshot is tried again."""
    world = running()
    world.checkpoints = (snapshot(130), checkpoint(100))
    world.end(code=78, step=137)
    world.feed(Rescued(is_durable=False, error="EIO"))
    world.feed(SurveyFailed("stale file handle"))
    assert world.state.run is RunState.WAITING
    assert world.state.rescue is None

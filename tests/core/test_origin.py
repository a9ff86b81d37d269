"""A start from nothing only if nothing is lost by it: tables of what is known and what follows."""

from typing import Any

import pytest

from supervisor.core.effects import Launch, Rescue, Say, SetAside
from supervisor.core.events import Begun, Exited, Probed, Surveyed, Tick
from supervisor.core.policy import Policy
from supervisor.core.rules.resumption import initial_state
from supervisor.core.vocabulary import Intent, RunState
from tests.core.world import World, checkpoint, died, history_of, snapshot

LOST = "this run's checkpoint checkpoint-60 is missing"


def begun(policy: Policy | None = None, *, attempt: int = 1, **survey: Any) -> World:
    """A supervisor that begins over a run with a past, and has surveyed its checkpoints."""
    world = World(policy=policy or Policy(), checkpoints=survey.pop("candidates", ()))
    past = history_of([{"type": "attempt_started", "attempt": attempt, "wall": 1.0}])
    again = survey.pop("begin_again", False)
    world.state = initial_state(past, world.policy, now=world.now, wall=2.0)
    if again:
        past = history_of([{"type": "begin_again"}])
        world.state = initial_state(past, world.policy, now=world.now, wall=2.0)
    world.feed(Begun(Intent.RUN))
    world.feed(Surveyed(candidates=world.checkpoints, **survey))
    return world


def launched(world: World) -> Launch | None:
    """The first launch, if any."""
    return next((e for e in world.effects if isinstance(e, Launch)), None)


@pytest.mark.parametrize("policy", [Policy(), Policy(start_fresh_if_none_valid=True)])
@pytest.mark.parametrize("exists", [True, False])
def test_missing_ones_are_held(policy: Policy, exists: bool) -> None:
    """`if_none_valid: fresh` does not cover missing checkpoints; the reason names a way out."""
    world = begun(policy, missing=LOST, exists=exists)
    assert world.state.run is RunState.HELD
    assert world.state.failure == "checkpoints_missing"
    assert LOST in world.state.reason
    assert "--from-nothing" in world.state.reason
    assert world.exit_codes() == [1]


def test_missing_ones_are_waited_for_where_a_mount_explains_it() -> None:
    """The run goes on once the mount is back with its checkpoints."""
    world = begun(missing=LOST, unmounted="/mnt/data")
    assert world.state.run is RunState.WAITING
    assert "nothing is mounted on /mnt/data" in world.state.reason
    world.feed(Tick())
    world.feed(Probed(clear=False, what="/mnt/data is not mounted"))
    assert world.state.run is RunState.WAITING
    world.now += 5
    world.feed(Tick())
    world.feed(Probed(clear=True, what="/mnt/data is mounted"))
    world.checkpoints = (checkpoint(60),)
    world.state = world.state.__class__(
        **{f: getattr(world.state, f) for f in world.state.__slots__} | {"ever_attached": True}
    )
    world.survey()
    launch = launched(world)
    assert launch is not None
    assert launch.checkpoint == checkpoint(60)


def test_a_mount_that_is_back_without_them() -> None:
    """Once the mount is back, it no longer explains the missing checkpoints: held."""
    world = begun(missing=LOST, unmounted="/mnt/data")
    world.feed(Tick())
    world.feed(Probed(clear=True, what="/mnt/data is mounted"))
    world.feed(Surveyed(missing=LOST))
    assert world.state.run is RunState.HELD


def test_memory_makes_up_for_the_disk_but_not_for_a_mount() -> None:
    """With a snapshot the run goes on, but not onto a bare mount point: saves would land there."""
    held_in_memory = (snapshot(70),)
    assert launched(begun(candidates=held_in_memory, missing=LOST)) is not None
    world = begun(candidates=held_in_memory, missing=LOST, unmounted="/mnt/data")
    assert world.state.run is RunState.WAITING


def test_from_nothing_is_for_one_launch() -> None:
    """One `--from-nothing` covers one launch; checkpoints missing at the next get the run held."""
    world = begun(missing=LOST, begin_again=True)
    launch = launched(world)
    assert launch is not None
    assert launch.checkpoint is None
    world.launched(list(world.effects))
    assert not world.state.begin_again
    world.feed(Exited(died(world.state.attempt)))
    world.feed(Surveyed(missing=LOST))
    world.now += 600
    world.feed(Tick())
    world.feed(Surveyed(missing=LOST))
    assert world.state.run is RunState.HELD


def test_beginning_again_counts_steps_anew() -> None:
    """Otherwise nothing would be progress until the lost steps were made again."""
    past = history_of([
        {"type": "attempt_started", "attempt": 1, "wall": 1.0},
        {"type": "progress", "step": 60, "written": None},
        {"type": "attempt_ended", "attempt": 1, "step": 65, "wall": 5.0, "charged": True},
        {"type": "decision", "state": "held", "reason": "r", "failure": "checkpoints_missing"},
    ])  # fmt: skip
    assert (past.budget.progress_step, past.reached_step, past.held) == (60, 65, "r")
    again = history_of([{"type": "begin_again"}])
    assert (again.budget.progress_step, again.reached_step, again.held) == (None, None, None)


def test_a_first_save_torn_by_the_kill_begins_again() -> None:
    """A torn first save is set aside and the run begins again, also with `if_none_valid: hold`."""
    bad = (("/run/checkpoint-10", "cut short"),)
    world = begun(exists=True, torn_first="checkpoint-10", invalid=bad)
    assert world.state.run is RunState.LAUNCHING
    kinds = world.kinds()
    assert kinds.index("SetAside") < kinds.index("Launch")
    aside = next(e for e in world.effects if isinstance(e, SetAside))
    assert aside.invalid == bad
    assert begun(exists=True, invalid=bad).state.run is RunState.HELD


UNSEEN = "the trainer saves into /w/out: write `checkpoints: {directory: out}`"


def test_saves_that_nobody_saw_are_held_before_a_start_from_nothing() -> None:
    """The hold names all lines to write; a trainer that finds its saves itself goes on."""
    world = begun(unseen=UNSEEN)
    assert world.state.run is RunState.HELD
    assert world.state.failure == "checkpoints_unseen"
    assert UNSEEN in world.state.reason
    assert "resume: {args:" in world.state.reason
    told = begun(Policy(has_resume_args=True), unseen=UNSEEN)
    assert told.state.failure == "checkpoints_unseen"
    assert "not told to resume" not in told.state.reason
    by_trainer = begun(Policy(trainer_finds_checkpoints=True), unseen=UNSEEN)
    assert by_trainer.state.run is RunState.LAUNCHING
    assert begun(unseen=UNSEEN, begin_again=True).state.run is RunState.LAUNCHING
    seen = begun(Policy(has_resume_args=True), unseen=UNSEEN, candidates=(checkpoint(5),))
    assert seen.state.run is RunState.LAUNCHING


def failures(policy: Policy, steps: list[int | None]) -> World:
    """The world after deaths at these steps, without a checkpoint that anybody sees."""
    world = World(policy=policy)
    world.begin()
    for step in steps:
        world.end(step=step, failure="killed", code=None, signal=9)
        if world.state.run is RunState.BACKOFF:
            world.now += 600
            world.launched([*world.feed(Tick()), *world.survey()])
        else:
            world.launched(list(world.effects[-4:]))
    return world


def test_steps_beyond_all_before_are_headway_where_the_trainer_finds_its_checkpoints() -> None:
    """Ten deaths, each further on, are not held; ten at the same step are, at the fifth."""
    policy = Policy(trainer_finds_checkpoints=True)
    further = failures(policy, list(range(10, 110, 10)))
    assert further.state.run is not RunState.HELD
    assert further.state.attempt == 11
    assert failures(policy, [45] * 10).state.run is RunState.HELD
    assert failures(policy, [None] * 10).state.run is RunState.HELD
    assert failures(Policy(), list(range(10, 110, 10))).state.run is RunState.HELD


def test_headway_is_told_as_a_failure_all_the_same() -> None:
    """A death with headway counts for the day's budget."""
    world = failures(Policy(trainer_finds_checkpoints=True), [10, 20, 30])
    assert len(world.state.budget.recent) == 3
    assert any(isinstance(effect, Say) for effect in world.effects)


def test_nothing_is_rescued_under_a_bare_mount_point() -> None:
    """A rescue there would be hidden by the mount, and would count as the run's newest."""
    world = World()
    world.begin()
    world.feed(Exited(died(1)))
    effects = world.feed(Surveyed(candidates=(snapshot(70),), missing=LOST, unmounted="/mnt/data"))
    assert world.state.run in {RunState.BACKOFF, RunState.WAITING}
    assert not any(isinstance(effect, Rescue) for effect in effects)

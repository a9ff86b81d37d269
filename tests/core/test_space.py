"""Waits for room on a disk: how they grow, what they cost, and when waiting is useless."""

import pytest

from supervisor.core.effects import Probe
from supervisor.core.events import Probed, Tick
from supervisor.core.policy import Policy
from supervisor.core.vocabulary import Action, RunState
from tests.core.world import World, checkpoint, history_of

FULL = {"failure": "disk_full", "action": "hold", "exception": "OSError", "frame": "t.py:save"}
NOT_YET = Probed(clear=False, what="0.0 MB free")
CLEAR = Probed(clear=True, what="9.0 MB free")


def waiting(policy: Policy | None = None, **more: object) -> World:
    """A world whose first attempt died for want of room."""
    world = World(policy=policy or Policy())
    world.begin()
    world.checkpoints = (checkpoint(40),)
    world.end(**{**FULL, "step": 50, **more})
    assert world.state.run is RunState.WAITING
    return world


def wait(world: World) -> float:
    """Let the time until the next probe pass, and return it in seconds."""
    assert world.state.wake_at is not None
    waited = world.state.wake_at - world.now
    world.now = world.state.wake_at
    assert [type(effect) for effect in world.feed(Tick())] == [Probe]
    return waited


def go_on(world: World) -> None:
    """A probe finds room, and the next attempt runs."""
    world.feed(CLEAR)
    world.launched(world.survey())
    assert world.state.run is RunState.RUNNING


def test_the_wait_doubles_from_ten_seconds_to_ten_minutes() -> None:
    """The wait doubles while there is no room, and costs no failure."""
    world = waiting()
    waits = []
    for _ in range(9):
        waits.append(wait(world))
        world.feed(NOT_YET)
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert world.state.budget.failures == 0
    go_on(world)


def test_the_same_death_after_room_was_found_doubles_the_wait_and_is_held_in_the_end() -> None:
    """With a quota that only the server knows, room was found five times and the write failed."""
    world = waiting(Policy(max_failures=2))
    waits = []
    while world.state.run is RunState.WAITING:
        waits.append(wait(world))
        go_on(world)
        world.end(**FULL, step=50)
    assert waits == [10, 20, 40, 80, 160]
    assert world.state.run is RunState.HELD
    assert world.state.failure == "disk_full"
    assert "5 times the supervisor found room in the checkpoint directory" in world.state.reason
    assert "the same death" not in world.state.reason
    assert world.state.budget.failures == 0


def test_durable_progress_begins_anew() -> None:
    """A disk that fills again after progress begins with the shortest wait."""
    world = waiting()
    for step in (50, 60, 70, 80, 90, 100, 110):
        assert wait(world) == 10
        go_on(world)
        world.checkpoints = (checkpoint(step), *world.checkpoints)
        world.end(**FULL, step=step + 5)
        assert world.state.run is RunState.WAITING


def test_the_day_limit_holds() -> None:
    """`max_per_day` counts every death, whatever its progress."""
    world = waiting(Policy(max_per_day=3))
    for step in (50, 60):
        wait(world)
        go_on(world)
        world.checkpoints = (checkpoint(step), *world.checkpoints)
        world.end(**FULL, step=step + 5)
    assert world.state.run is RunState.HELD
    assert "within a day" in world.state.reason


def test_a_death_for_want_of_room_is_no_repetition_of_another() -> None:
    """A full disk between two equal deaths neither repeats them nor hides them."""
    world = World()
    world.begin()
    world.checkpoints = (checkpoint(40), checkpoint(30))
    death = {"exception": "ValueError", "frame": "f", "step": 45, "first_step_seen": True}
    world.launched(world.end(**death))
    world.end(**FULL, step=50)
    wait(world)
    go_on(world)
    world.end(**death)
    assert world.state.action == "rollback"


@pytest.mark.parametrize("place", [None, "/home/u/.cache"])
def test_the_place_that_the_write_named_is_looked_at(place: str | None) -> None:
    """The probe looks at the place that the failed write named, also by the next daemon."""
    world = waiting(full_place=place)
    wait(world)
    (look,) = [effect for effect in world.effects if isinstance(effect, Probe)]
    assert (look.what, look.place) == ("disk_full", place)
    (decision,) = world.records("decision")
    past = history_of([{"wall": 1.0, **decision}])
    assert past.pause is not None
    assert (past.pause.place, past.pause.wait_s) == (place, 10.0)


def test_a_wait_is_told_as_hold() -> None:
    """Readers know only `hold` for it; the next daemon reads the wait from the record."""
    world = waiting()
    assert world.state.action is Action.WAIT
    told = [*world.records("attempt_ended"), *world.records("decision")]
    assert [str(entry["action"]) for entry in told] == ["hold", "hold"]
    past = history_of([{"wall": 1.0, **entry} for entry in told])
    assert past.pause is not None
    assert past.pause.action is Action.WAIT


def test_a_look_that_never_answers_is_begun_again() -> None:
    """The child may be lost together with the daemon that began it: a tick asks anew."""
    world = waiting()
    wait(world)
    assert world.state.wake_at is not None
    assert world.state.wake_at - world.now > 120.0  # longer than the daemon waits for the child
    wait(world)
    assert world.state.run is RunState.WAITING

"""Failures whose action depends on whether the run has trained, and those without a rollback."""

import pytest

from supervisor.core.effects import Say, SetAside
from supervisor.core.ending import Advice
from supervisor.core.events import Tick
from supervisor.core.vocabulary import RunState
from tests.core.world import World, checkpoint

DENIED = {"failure": "access_denied", "action": "hold", "exception": "GatedRepoError"}
BUILD = {"failure": "build_failed", "action": "hold", "exception": "InductorError"}


@pytest.mark.parametrize("death", [DENIED, BUILD])
def test_a_run_that_has_never_trained_is_held(death: dict[str, object]) -> None:
    """A login that was forgotten and a compiler that is missing are a human's work."""
    world = World()
    world.begin()
    world.end(**death)
    assert world.state.run is RunState.HELD
    assert world.state.failure == death["failure"]


@pytest.mark.parametrize("death", [DENIED, BUILD])
def test_a_run_that_has_trained_goes_on(death: dict[str, object]) -> None:
    """The same refusal was no obstacle before, so it may pass."""
    world = World()
    world.begin()
    world.checkpoints = (checkpoint(40),)
    world.launched(world.end(failure="killed", signal=9, code=None, step=45, first_step_seen=True))
    world.end(**death)
    assert world.state.run is not RunState.HELD
    assert world.records("attempt_ended")[-1]["failure"] == death["failure"]
    assert world.records("attempt_ended")[-1]["action"] == "backoff"


@pytest.mark.parametrize("failure", ["data_corrupt", "checkpoint_mismatch"])
def test_no_older_checkpoint_is_tried(failure: str) -> None:
    """The same death twice takes no checkpoint back; the third time the run is held."""
    world = World()
    world.begin()
    world.checkpoints = (checkpoint(40), checkpoint(30))
    death = {
        "failure": failure,
        "action": "restart",
        "exception": "OSError",
        "frame": "data.py:read",
        "step": 45,
        "first_step_seen": True,
    }
    for _ in range(3):
        world.launched(world.end(**death))
        if world.state.run is RunState.BACKOFF:
            world.now += 1000.0
            world.launched([*world.feed(Tick()), *world.survey()])
    assert world.state.run is RunState.HELD
    assert not [effect for effect in world.effects if isinstance(effect, SetAside)]


def test_a_held_run_says_what_can_be_done() -> None:
    """The line, the ledger and the state have the advice: one sentence and one command."""
    world = World()
    world.begin()
    advice = Advice("Log in first.", "hf auth login")
    world.end(**DENIED, advice=advice)
    said = [effect.line for effect in world.effects if isinstance(effect, Say)]
    assert "Log in first: `hf auth login`" in said[-1]
    assert world.state.advice == advice
    assert world.records("attempt_ended")[-1]["advice"] == {
        "sentence": "Log in first.",
        "command": "hf auth login",
    }


@pytest.mark.parametrize("failure", ["incompatible_software", "checkpoint_mismatch"])
@pytest.mark.parametrize(("seen", "is_held"), [(False, True), (True, False)])
def test_a_rank_that_dies_while_others_make_steps_holds_nothing(
    failure: str, seen: bool, is_held: bool
) -> None:
    """Before the attempt's first step a human has to act, whatever checkpoints there are."""
    world = World()
    world.begin()
    world.checkpoints = (checkpoint(40),)
    world.launched(world.end(failure="killed", signal=9, code=None, step=45, first_step_seen=True))
    world.end(failure=failure, action="hold", exception="RuntimeError", first_step_seen=seen)
    assert (world.state.run is RunState.HELD) is is_held

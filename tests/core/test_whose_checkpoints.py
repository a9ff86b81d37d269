"""Another run's checkpoints: a doubt that is reported, and a launch that is refused for them."""

from collections.abc import Sequence

import pytest

from supervisor.core.effects import Effect, Exit, Say
from supervisor.core.events import Begun, Exited, StartFailed
from supervisor.core.policy import Policy
from supervisor.core.rules.resumption import initial_state
from supervisor.core.vocabulary import Intent, RunState, Tier
from tests.core.world import World, checkpoint, died, history_of


def doubts(effects: Sequence[Effect]) -> list[str]:
    """The lines that are printed as a doubt."""
    return [effect.line for effect in effects if isinstance(effect, Say) and effect.is_doubt]


def seen_at(step: int | None) -> World:
    """A run whose first attempt was at this step when it died."""
    world = World(policy=Policy(has_resume_args=True))
    world.begin()
    world.feed(Exited(died(1, step=step, code=75)))
    return world


def test_ahead_of_every_step() -> None:
    """A checkpoint beyond all steps seen that names no run is used, and reported once."""
    world = seen_at(370)
    world.checkpoints = (checkpoint(500, says_who=False),)
    effects = world.launched(world.survey())
    (said,) = doubts(effects)
    assert "checkpoint-500 (step 500)" in said
    assert "(370)" in said
    assert world.state.checkpoint == world.checkpoints[0]
    assert doubts(world.launched(world.end(step=371))) == [], "it was said before"


@pytest.mark.parametrize(
    ("step", "more"),
    [
        (370, {"says_who": False}),
        (100, {"says_who": False}),
        (500, {}),
        (500, {"tier": Tier.MEMORY}),
        (500, {"says_who": False, "own_run": False}),
    ],
)
def test_no_doubt(step: int, more: dict[str, object]) -> None:
    """No doubt about steps that were seen, about named runs, or about checkpoints told to use."""
    world = seen_at(370)
    world.checkpoints = (checkpoint(step, **more),)
    assert doubts(world.launched(world.survey())) == []
    assert world.state.attempt == 2


def test_no_doubt_where_no_step_was_seen() -> None:
    """A trainer that prints no steps gives nothing to compare with."""
    world = seen_at(None)
    world.checkpoints = (checkpoint(500, says_who=False),)
    assert doubts(world.launched(world.survey())) == []


@pytest.mark.parametrize(
    ("last", "is_told"),
    [
        ({"type": "attempt_ended", "attempt": 2, "step": 380}, True),
        ({"type": "checkpoint", "step": 500}, False),
    ],
)
def test_an_end_that_nobody_saw(last: dict[str, object], is_told: bool) -> None:
    """After an unseen end nobody knows how far the attempt had come, so there is no doubt."""
    history = history_of(
        [
            {"type": "attempt_started", "attempt": 1},
            {"type": "attempt_ended", "attempt": 1, "step": 370},
            {"type": "attempt_started", "attempt": 2, "checkpoint": {"path": "x", "step": 300}},
            last,
        ]
    )
    world = World(policy=Policy(has_resume_args=True))
    world.state = initial_state(history, world.policy, now=world.now, wall=0.0)
    world.checkpoints = (checkpoint(500, says_who=False),)
    assert bool(doubts(world.begin())) is is_told


def test_what_was_resumed_from_is_no_doubt_again() -> None:
    """A later daemon knows from the ledger at which steps earlier attempts began."""
    started = {"type": "attempt_started", "attempt": 2, "checkpoint": {"path": "x", "step": 500}}
    history = history_of(
        [
            {"type": "attempt_ended", "attempt": 1, "step": 370},
            started,
            {"type": "attempt_ended", "attempt": 2, "step": None},
        ]
    )
    world = World(policy=Policy(has_resume_args=True))
    world.state = initial_state(history, world.policy, now=world.now, wall=0.0)
    world.checkpoints = (checkpoint(500, says_who=False),)
    assert doubts(world.begin()) == []


@pytest.mark.parametrize("code", [1, 78])
def test_a_refused_launch_ends_with_its_code(code: int) -> None:
    """The run is held with the refusal's reason and exit code."""
    world = World()
    world.feed(Begun(Intent.RUN))
    world.survey()
    effects = world.feed(StartFailed(1, "another run saves there", False, code))
    assert world.state.run is RunState.HELD
    assert [effect.code for effect in effects if isinstance(effect, Exit)] == [code]
    assert world.records("decision")[-1]["reason"] == "another run saves there"

"""Every way in which a run comes to be held: state, record, message and exit code."""

from collections.abc import Callable

import pytest

from supervisor.core.effects import Exit, Say
from supervisor.core.events import (
    Begun,
    IntentChanged,
    Observed,
    StacksTaken,
    StartFailed,
    Tick,
    Unkillable,
)
from supervisor.core.policy import Policy
from supervisor.core.reactions.operator import KILL_ANSWER_S, TERM_S
from supervisor.core.vocabulary import Action, ExitCode, Intent, Phase, RunState
from supervisor.core.wording import HELD_IDLE
from tests.core.world import World

GO_ON = "`supervisor resume`, then `supervisor run CONFIG`"


def wrong_command(world: World) -> None:
    """The command cannot be started at all."""
    world.feed(Begun(Intent.RUN))
    world.survey()
    world.feed(StartFailed(1, "no such file", transient=False, exit_code=ExitCode.CONFIGURATION))


def short_of_processes(world: World) -> None:
    """The command cannot be started now, and the tries are used up."""
    world.feed(Begun(Intent.RUN))
    world.survey()
    world.feed(StartFailed(1, "no processes", transient=True))


def wrong_configuration(world: World) -> None:
    """The trainer's exit code says that its configuration is wrong."""
    world.begin()
    world.end(code=78, reason="no such layer")


def unkillable(world: World) -> None:
    """A process survives SIGKILL."""
    world.begin()
    world.feed(Unkillable(1, "pid 7 (python, state D)"))


def never_seen_to_end(world: World) -> None:
    """A hung attempt is not reported as ended after SIGTERM and SIGKILL."""
    world.begin()
    world.feed(Observed(1, attached=True, beating=True, phase=Phase.STEP, step=5, beat_age_s=31.0))
    world.looked()
    world.feed(StacksTaken(1))
    for seconds in (TERM_S, KILL_ANSWER_S):
        world.now += seconds
        world.feed(Tick())


@pytest.mark.parametrize(
    ("way", "run", "failure", "line", "code"),
    [
        (wrong_command, "held", "configuration", f"no such file; once that is mended: {GO_ON}", 78),
        (short_of_processes, "held", "unknown", "no processes; 1 failure without", 1),
        (wrong_configuration, "held", "configuration", "no such layer; once that is mended:", 1),
        (unkillable, "stuck", "stuck", "a process survives SIGKILL: pid 7", 1),
        (never_seen_to_end, "stuck", "stuck", "the attempt was not seen to end after SIGKILL", 1),
    ],
)
def test_a_hold_is_told_and_on_record(
    way: Callable[[World], None], run: str, failure: str, line: str, code: int
) -> None:
    """Terminal and ledger have the same words; the record comes first and the exit last."""
    world = World(policy=Policy(max_failures=1, heartbeat_timeout_s=30.0))
    way(world)
    state = world.state
    assert (state.run, state.failure, state.action) == (RunState(run), failure, Action.HOLD)
    assert state.wake_at is None
    assert world.exit_codes() == [code]
    said = [e for e in world.effects if isinstance(e, Say)][-1]
    assert said.line.startswith(f"{run}: {line}")
    decision = world.records("decision")[-1]
    assert (decision["state"], decision["failure"], decision["action"]) == (run, failure, "hold")
    assert said.line.startswith(f"{run}: {decision['reason']}")
    tail = ["Record", "Say", "Exit"] if run == "held" else ["Record", "Incident", "Say", "Exit"]
    assert world.kinds()[-len(tail) :] == tail


@pytest.mark.parametrize(
    ("begun", "reason"),
    [
        (Begun(Intent.RUN, held="the disk is broken"), "the disk is broken"),
        (Begun(Intent.HOLD), HELD_IDLE),
    ],
    ids=["held before", "hold intended"],
)
def test_what_is_known_is_not_told_again(begun: Begun, reason: str) -> None:
    """A daemon that finds the run held ends without a message: `status` has the reason."""
    world = World()
    assert world.feed(begun) == [Exit(ExitCode.HELD)]
    assert (world.state.run, world.state.action) == (RunState.HELD, Action.HOLD)
    assert world.state.reason == reason


def test_an_operators_hold_is_on_record_as_an_intent() -> None:
    """Between two attempts the operator's hold takes effect at once, and prints no message."""
    world = World(policy=Policy(max_failures=9))
    world.begin()
    world.end()
    assert world.state.run is RunState.BACKOFF
    effects = world.feed(IntentChanged(Intent.HOLD))
    assert [type(e).__name__ for e in effects] == ["Record", "Exit"]
    assert world.records("intent")[-1]["intent"] == "hold"
    assert world.state.reason == HELD_IDLE


def test_a_hold_that_was_asked_for_says_how_to_go_on() -> None:
    """An attempt that ends under `supervisor hold` is judged; the message names no repair."""
    world = World()
    world.begin()
    world.feed(IntentChanged(Intent.HOLD))
    world.end()
    said = [e.line for e in world.effects if isinstance(e, Say)][-1]
    assert said == f"held: `supervisor hold` was asked for; to go on: {GO_ON}"
    assert world.exit_codes() == [1]

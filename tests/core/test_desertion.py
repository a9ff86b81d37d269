"""Ranks that end before their main process are reported; a stop follows only if nothing works."""

from typing import Any

import pytest

from supervisor.core.effects import Effect, Say, SendKill, SendStop
from supervisor.core.events import Begun, Exited, Observed, Tick
from supervisor.core.look_facts import RanksGone
from supervisor.core.policy import Policy
from supervisor.core.step import step
from supervisor.core.vocabulary import Intent, RunState
from tests.core.world import World, checkpoint, died, history_of


def deserted(
    world: World, age_s: float, *, well: bool = False, quiet_s: float = 0.0
) -> list[Effect]:
    """Show an attempt whose ranks ended `age_s` ago."""
    gone = RanksGone("rank 0 (pid 7)", "sh (pid 5)", age_s, well, quiet_s)
    return world.feed(Observed(world.state.attempt, beating=True, gone=gone, log_age_s=age_s))


def running(**policy: Any) -> World:
    """A world with its first attempt running."""
    world = World(policy=Policy(**policy))
    world.begin()
    return world


@pytest.mark.parametrize("well", [True, False])
def test_it_is_told_once_within_ten_seconds(well: bool) -> None:
    """The only report comes after 5 s, because torchrun restarts its ranks sooner than that."""
    world = running()
    for age in (0.5, 1.0, 3.0, 6.0, 7.0, 40.0):
        deserted(world, age, well=well)
    lines = [effect.line for effect in world.effects if isinstance(effect, Say)]
    assert len([line for line in lines if "rank 0 (pid 7)" in line]) == 1
    assert ("work after training" in lines[-1]) is well
    assert world.records("ranks_gone")[0]["ended_well"] is well
    assert world.state.run is RunState.RUNNING


def test_ranks_that_come_back_are_no_desertion() -> None:
    """torchrun's own restart ends the report, and the next desertion is reported anew."""
    world = running()
    deserted(world, 6.0)
    world.feed(Observed(1, attached=True, beating=True, beat_age_s=0.1))
    deserted(world, 6.0)
    assert len(world.records("ranks_gone")) == 2


def test_work_after_training_is_never_ended_for_it() -> None:
    """An upload may last a day with `on_silence: restart` and nothing in the log."""
    world = running(log_silence_s=60.0, restart_on_silence=True)
    for age in range(0, 86_400, 600):
        deserted(world, float(age), well=True, quiet_s=float(age))
    assert world.state.run is RunState.RUNNING
    assert not any(isinstance(e, SendStop) for e in world.effects)


def test_a_main_process_that_works_lives_on() -> None:
    """`python train.py; aws s3 sync …` for an hour, or torchrun's rendezvous, goes on."""
    world = running()
    for age in range(0, 3600, 10):
        deserted(world, float(age), quiet_s=float(min(age, 59)))
    assert world.state.run is RunState.RUNNING


def test_one_that_waits_for_nobody_is_ended_and_its_ranks_are_judged() -> None:
    """A main process that does nothing gets SIGTERM, then SIGKILL; the ranks' failure counts."""
    world = running()
    world.checkpoints = (checkpoint(10),)
    deserted(world, 59.0, quiet_s=59.0)
    assert world.state.run is RunState.RUNNING
    assert any(isinstance(e, SendStop) for e in deserted(world, 60.5, quiet_s=60.0))
    assert world.state.run is RunState.KILLING
    assert world.records("hung")[0]["failure"] is None
    world.now += 15.1
    assert any(isinstance(e, SendKill) for e in world.feed(Tick()))
    facts = {"code": None, "failure": "exception", "exception": "ValueError", "step": 12}
    world.feed(Exited(died(1, **facts)))
    world.survey()
    (ended,) = world.records("attempt_ended")
    assert (ended["failure"], ended["exception"], ended["charged"]) == (
        "exception",
        "ValueError",
        True,
    )
    assert world.state.run is RunState.LAUNCHING


def test_a_death_that_nobody_explains_says_what_was_seen() -> None:
    """SIGKILL leaves no line: the reason names the ranks that died."""
    world = running()
    deserted(world, 61.0, quiet_s=61.0)
    world.feed(Exited(died(1, code=None, failure="unknown", reason="its exit is not known")))
    world.survey()
    (ended,) = world.records("attempt_ended")
    assert "rank 0 (pid 7) died" in str(ended["reason"])


def test_the_next_daemon_goes_on_with_that_end() -> None:
    """The next daemon's SIGTERM is no user's stop, and the failure is no hang."""
    past = history_of(
        [
            {"type": "attempt_started", "attempt": 1},
            {"type": "ranks_gone", "attempt": 1},
            {"type": "hung", "attempt": 1, "reason": "r", "failure": None},
        ]
    )
    assert (past.ranks_gone, past.hung, past.hung_as) == (True, "r", None)
    begun = Begun(Intent.RUN, alive=True, stop_sent=True, hung=past.hung, hung_as=past.hung_as)
    state, effects = step(World().state, begun, 1000.0)
    assert state.run is RunState.KILLING
    assert state.kill is not None
    assert state.kill.failure is None
    assert any(isinstance(e, SendStop) for e in effects)


def test_an_old_record_of_a_hang_still_is_one() -> None:
    """Earlier daemons recorded a hang without a failure."""
    assert history_of([{"type": "hung", "attempt": 1, "reason": "r"}]).hung_as == "hang"

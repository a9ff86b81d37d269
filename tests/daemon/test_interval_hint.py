"""Hints at a better time between saves: few of them, one in `status`, kept over daemons."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from supervisor.core.entries.entry import Entry, Stamped
from supervisor.core.entries.trainer import IntervalHintEntry, RecoveryEntry
from supervisor.core.history import History
from supervisor.core.replay import fold
from supervisor.core.rules.recovery import Recovery
from supervisor.core.states import Policy, State
from supervisor.core.trainer_description import TrainerDescription
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.look.save_costs import SaveCosts
from supervisor.daemon.run import Run
from supervisor.daemon.tell.interval_hint import IntervalHints

STATE = State(policy=Policy(), attempt=1, alive=True)
SELDOM = Recovery(trainer="huggingface 5.24", save_steps=100_000, step_s=1.0)


class Hints:
    """The hints of a run, and what was recorded and said of them."""

    def __init__(self, history: History | None = None) -> None:
        self.recorded: list[Entry] = []
        self.said: list[str] = []
        run = SimpleNamespace(
            history=history or History(),
            journal=SimpleNamespace(record=self.recorded.append, listeners=[]),
            console=SimpleNamespace(say_paragraph=self.said.append),
        )
        self.costs = SaveCosts(cast("Run", run))
        self.hints = IntervalHints(cast("Run", run), self.costs)

    def save(self, took_s: float, known: Recovery = SELDOM, state: State = STATE) -> str | None:
        """A save took so long; the sentence in `status` after that."""
        attempt = SimpleNamespace(number=1, last_save_s=took_s, heartbeat_dir=Path("/nonexistent"))
        self.costs.look(cast("RunningAttempt", attempt))
        self.hints.poll(known, state)
        return self.hints.sentence


@pytest.mark.parametrize("times", [(0.1, 1.2), (1.2, 0.1), (0.1, 0.1001, 60.0)])
def test_saves_that_take_now_long_now_short(times: tuple[float, ...]) -> None:
    """A slow disk at every second save: a few hints at most, and one sentence at a time."""
    hints = Hints()
    for number in range(200):
        assert hints.save(times[number % len(times)] + number * 1e-6) is not None
    assert 1 <= len(hints.recorded) == len(hints.said) <= 3


def test_one_slow_save_among_many_changes_nothing() -> None:
    """The usual time counts."""
    hints = Hints()
    shown = {hints.save(0.1 + n * 1e-6) for n in range(6)}
    shown |= {hints.save(90.0), hints.save(0.1)}
    assert len(shown) == len(hints.recorded) == 1


def test_a_run_is_told_a_few() -> None:
    """Whatever the training does; `status` still shows what holds now."""
    hints = Hints()
    shown = {
        hints.save(0.1 + n * 1e-6, replace(SELDOM, save_steps=100_000 * 10**n)) for n in range(8)
    }
    assert len(shown) == 8
    assert len(hints.recorded) == 4


def test_a_hint_ends_with_its_reason() -> None:
    """Once the user has changed the interval, `status` no longer shows it."""
    hints = Hints()
    assert hints.save(0.1) is not None
    assert hints.save(0.1, replace(SELDOM, save_steps=1000)) is None
    assert hints.save(0.1) is not None
    assert len(hints.said) == 1


def test_the_next_daemon_shows_it_and_does_not_tell_it_again() -> None:
    """It stands in the ledger; another paragraph after it leaves it."""
    first = Hints()
    sentence = first.save(0.1)
    (entry,) = first.recorded
    assert isinstance(entry, IntervalHintEntry)
    told = RecoveryEntry(attempt=1, sentences=("a",), about="b")
    history = fold([Stamped(entry, wall=1.0), Stamped(told, wall=2.0)])
    assert history.recovery == ("a",)
    later = Hints(history)
    assert later.hints.sentence == sentence
    later.save(0.1)
    assert later.recorded == []


@pytest.mark.parametrize(
    ("trained_s", "total", "is_told"),
    [(599.0, None, False), (601.0, None, True), (601.0, 1_000_000, True), (601.0, 100, False)],
)
def test_saves_that_come_too_often(trained_s: float, total: int | None, is_told: bool) -> None:
    """A training of minutes is not told, nor one that would be over before its second save."""
    often = replace(SELDOM, save_steps=2)
    said = TrainerDescription(total_steps=total)
    state = replace(STATE, description=said, account=replace(STATE.account, training_s=trained_s))
    hints = Hints()
    assert (hints.save(5.0, often, state) is not None) is is_told
    assert len(hints.said) == is_told
    assert hints.save(5.0, SELDOM, replace(state, account=STATE.account)) is not None

"""How often to save: what follows from saves and failures, what a trainer is told, and warnings."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from supervisor.config.model import RunConfig
from supervisor.core.entries.attempt import (
    AttemptEndedEntry,
    AttemptStartedEntry,
    AttemptUnwatchedEntry,
    FirstStepEntry,
)
from supervisor.core.entries.entry import Entry, Stamped
from supervisor.core.entries.saves import AutoInterval, ProgressEntry, SaveIntervalEntry
from supervisor.core.entries.trainer import RecoveryEntry
from supervisor.core.history import History
from supervisor.core.json_form import from_json
from supervisor.core.replay import fold
from supervisor.core.rules.save_interval import (
    LONGEST_S,
    best_interval_s,
    mean_time_to_failure_s,
)
from supervisor.core.save_interval_words import save_interval_text
from supervisor.core.save_terms import SAVE_TERMS, SAVES_TOLD, SaveTerms
from supervisor.core.states import Account
from supervisor.core.trainer_description import TrainerDescription
from supervisor.core.vocabulary import Failure, RunState, StopSource
from supervisor.daemon.act.trainer_environment import environment
from supervisor.daemon.tell.status import StatusFacts
from supervisor.torch.save_pace import SavePace
from tests.daemon.test_recovery_teller import STATE, Training

HOUR = replace(STATE, account=Account(training_s=3600.0))
AUTO = RunConfig(command=("a",), checkpoints={"interval": "auto", "interval_min": "10s"})  # type: ignore[arg-type]
RUN = RunConfig(command=("a",), checkpoints={"interval": "auto"})  # type: ignore[arg-type]
DEATH = AttemptEndedEntry(attempt=1, failure=Failure.EXCEPTION)


def facts_of(training: Training, state: Any = HOUR) -> Any:
    """What the status says of the interval."""
    facts = StatusFacts("id", AUTO, "c.yaml", 0.0)
    training.teller.fill(facts, state)
    return facts.save_interval


def tells(directory: Path, **said: Any) -> None:
    """Write what a Checkpointer tells of its saves."""
    (directory / SAVES_TOLD).write_text(json.dumps({"attempt": 1, **said}))


def test_the_figure_is_there_once_a_save_was_timed() -> None:
    """With steps, once a step was timed; with failures as they come; and after the end, too."""
    training = Training()
    training.poll(HOUR)
    assert facts_of(training) is None
    training.attempt.last_save_s = 2.0
    training.attempt.step_time.typical_s = 0.5
    training.look.description = TrainerDescription(framework="huggingface 5.24", save_every=100)
    training.poll(HOUR)
    found = facts_of(training)
    mttf_s = mean_time_to_failure_s(0, 3600.0)
    best_s = best_interval_s(2.0, mttf_s, 60.0)
    assert found.present_s == 50.0
    assert (found.save_s, found.failures, found.recovery_s) == (2.0, 0, 60.0)
    assert (found.best_s, found.mttf_s) == (round(best_s, 1), round(mttf_s))
    assert found.best_steps == pytest.approx(best_s / 0.5, rel=0.05)
    for listener in training.run.journal.listeners:
        listener(DEATH)
    ended = replace(HOUR, alive=False, run=RunState.HELD)
    worse = facts_of(training, ended)
    assert worse.failures == 1
    assert worse.best_s < found.best_s / 5


def test_a_new_daemon_goes_on_with_the_figures() -> None:
    """Cost, failures and recoveries stand in the ledger."""
    told = [
        Stamped(AttemptEndedEntry(attempt=1, failure=Failure.EXCEPTION, last_save_s=3.0), 1000.0),
        Stamped(FirstStepEntry(attempt=2, startup_s=5.0), 1042.0),
    ]
    found = facts_of(Training(fold(told)))
    assert (found.save_s, found.failures, found.recovery_s) == (3.0, 1, 42.0)
    assert found.present_s is None


def test_what_a_trainer_is_told() -> None:
    """Bounds, failures and costs, as JSON that it can read; nothing without the key."""
    training = Training(fold([Stamped(DEATH, 1000.0)]))
    training.attempt.last_save_s = 2.0
    training.poll(HOUR)
    text = training.costs.terms(AUTO, HOUR)
    assert text is not None
    assert from_json(SaveTerms, json.loads(text)) == SaveTerms(
        min_s=10.0, failures=1, trained_s=3600.0, save_s=2.0
    )
    plain = RunConfig(command=("a",))
    assert training.costs.terms(plain, HOUR) is None
    where: dict[str, Any] = {"run_dir": Path("/r"), "run_id": "x", "attempt": 2}
    where |= {"heartbeat_dir": Path("/h"), "snapshot_dir": None, "checkpoint": None}
    overlay, unset = environment(AUTO, {}, **where, save_terms=text)
    assert overlay[SAVE_TERMS] == text
    assert SAVE_TERMS not in unset
    overlay, unset = environment(plain, {SAVE_TERMS: "of a run around this one"}, **where)
    assert SAVE_TERMS not in overlay
    assert SAVE_TERMS in unset


def test_the_interval_that_a_loop_has_chosen_is_recorded(tmp_path: Path) -> None:
    """Each other one once, with what it follows from; the paragraph is told once."""
    training = Training(interval="auto", heartbeat_dir=tmp_path)
    training.look.observed.step = 5
    for interval_s in (60.0, 120.0, 121.0, 240.0):
        tells(tmp_path, auto=True, asks=True, interval_s=interval_s, save_s=0.25, nodes=2)
        training.poll(HOUR)
        training.look.observed.step += 10
    entries = [one for one in training.recorded if isinstance(one, SaveIntervalEntry)]
    assert [one.interval_s for one in entries] == [60.0, 120.0, 240.0]
    assert entries[-1].auto is not None
    assert (entries[-1].auto.save_s, entries[-1].auto.failures) == (0.25, 0)
    assert entries[-1].auto.failure_s == round(mean_time_to_failure_s(0, 3600.0, 2))
    found = facts_of(training)
    assert (found.auto, found.present_s, found.save_s) == (True, 240.0, 0.25)
    assert training.teller.warning is None
    told = [one for one in training.recorded if isinstance(one, RecoveryEntry)]
    assert len(told) == 1
    assert (
        "as often as loses the least (`interval: auto`), every 60 s at present"
        in (told[0].sentences[0])
    )
    again = Training(fold(map(Stamped, training.recorded)), heartbeat_dir=tmp_path)
    terms = again.costs.terms(AUTO, HOUR)
    assert terms is not None
    assert json.loads(terms)["interval_s"] == 240.0
    assert json.loads(terms)["save_s"] == 0.25


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '{"attempt": 2, "auto": true}', '{"attempt": 1, "interval_s": "x"}',
     '{"attempt": 1, "interval_s": -1, "save_s": NaN, "nodes": 0}', "[" * 5000],
)  # fmt: skip
def test_a_file_that_says_nothing_is_no_word(tmp_path: Path, text: str) -> None:
    """Any process of the user may have written it, and another attempt's does not count."""
    (tmp_path / SAVES_TOLD).write_text(text)
    training = Training(interval="auto", heartbeat_dir=tmp_path)
    training.poll(HOUR)
    told = training.costs.told
    assert told is None or (told.interval_s, told.save_s, told.nodes) == (None, None, 1)
    assert facts_of(training) is None


def test_a_trainer_that_does_not_follow_the_key_is_warned_of_once() -> None:
    """With its library's own key, and the number once the cost of a save is known."""
    training = Training(interval="auto")
    training.attempt.step_time.typical_s = 0.5
    training.look.observed.step = 5
    training.look.description = TrainerDescription(framework="huggingface 5.24", save_every=500)
    training.poll(HOUR)
    assert training.teller.warning == (
        "`checkpoints.interval: auto` has no effect so far: only a Checkpointer of"
        " supervisor.torch follows it, and huggingface 5.24 saves by its own options; set"
        " `save_steps: N` there"
    )
    assert training.lines == [training.teller.warning]
    training.attempt.last_save_s = 1.0
    training.poll(HOUR)
    assert "set `save_steps: 5900` (every 49 min) there" in training.teller.warning
    assert len(training.lines) == 1
    assert Training().teller.warning is None


def test_a_loop_that_decides_by_itself_is_told_what_to_call(tmp_path: Path) -> None:
    """It has a Checkpointer, and never asks when a save is due; once it does, all is well."""
    training = Training(interval="auto", heartbeat_dir=tmp_path)
    training.attempt.step_time.typical_s = 0.5
    training.look.observed.step = 5
    tells(tmp_path, auto=False, save_s=1.0)
    training.poll(HOUR)
    assert "call `after_step`" in str(training.teller.warning)
    (tmp_path / SAVES_TOLD).unlink()
    tells(tmp_path, auto=True, asks=True, interval_s=60.0, save_s=1.0)
    training.poll(HOUR)
    assert training.teller.warning is None


def test_the_key_not_set_is_never_warned_of(tmp_path: Path) -> None:
    """Neither of a Checkpointer nor of another trainer."""
    training = Training(heartbeat_dir=tmp_path)
    training.attempt.step_time.typical_s = 0.5
    training.poll(HOUR)
    tells(tmp_path, auto=False, save_s=1.0)
    training.poll(HOUR)
    assert training.lines == []


@pytest.mark.parametrize(
    ("state", "lines"),
    [
        (replace(HOUR, run=RunState.COMPLETED), 1),
        (replace(STATE, run=RunState.COMPLETED, account=Account(training_s=59.0)), 0),
        (replace(HOUR, run=RunState.STOPPED), 0),
    ],
)
def test_a_finished_training_is_told_how_often_to_save_next_time(state: Any, lines: int) -> None:
    """Not one of a minute, and not one that only stopped."""
    training = Training()
    training.attempt.last_save_s = 2.0
    training.poll(HOUR)
    training.teller.say_last(state)
    assert len(training.lines) == lines
    assert all(line.startswith("saves: the least is lost by every ") for line in training.lines)


def test_nothing_is_said_at_the_end_where_the_cost_is_not_known() -> None:
    """A run that saved nothing."""
    training = Training()
    training.poll(HOUR)
    training.teller.say_last(replace(HOUR, run=RunState.COMPLETED))
    assert training.lines == []


def attempt_of(
    ledger: list[Stamped], number: int, save_s: float, lives_s: float
) -> tuple[float, int]:
    """One attempt that trains so long by what the daemon tells it; its interval and its saves."""
    training = Training(fold(ledger))
    terms = from_json(SaveTerms, json.loads(str(training.costs.terms(RUN, HOUR))))
    pace, now, saves = SavePace("auto", terms), 0.0, 0
    first_s = pace.interval_s
    ledger += map(Stamped, (AttemptStartedEntry(attempt=number), FirstStepEntry(startup_s=40.0)))
    while now < lives_s:
        now += 1.0
        if pace.is_due(0, now):
            began, now = now, now + save_s
            if now < lives_s:
                saves += 1
                ledger.append(Stamped(ProgressEntry(step=number)))
            pace.taken(began, now, save_s)
            chosen = AutoInterval(save_s=save_s)
            ledger.append(Stamped(SaveIntervalEntry(interval_s=pace.interval_s, auto=chosen)))
    return first_s, saves


@pytest.mark.parametrize(
    "end",
    [
        replace(DEATH, duration_s=640.0),
        replace(DEATH, duration_s=640.0, stop_requested=StopSource.SIGTERM, saved=False),
        replace(DEATH, duration_s=None),
        AttemptUnwatchedEntry(how="gone"),
    ],
    ids=["killed", "no time to save at a stop", "time unknown", "the machine went"],
)
def test_a_run_that_dies_regularly_saves_in_each_attempt(end: Entry) -> None:
    """Else nothing lasts, and the run is held: saves of 30 s, an end after ten minutes each."""
    ledger: list[Stamped] = []
    for number in range(1, 9):
        before = [one.entry for one in ledger if isinstance(one.entry, SaveIntervalEntry)]
        first_s, saves = attempt_of(ledger, number, 30.0, 600.0)
        assert first_s <= (before[-1].interval_s if before else 60.0)
        assert saves, number
        ledger.append(Stamped(end, 1000.0 * number))


def test_a_save_that_takes_most_of_an_attempt_is_begun_in_time() -> None:
    """Saves of 400 s, an end after 600 s each: at most one attempt in a row is lost."""
    ledger, kept = list[Stamped](), []
    for number in range(1, 9):
        kept.append(attempt_of(ledger, number, 400.0, 600.0)[1] > 0)
        ledger.append(Stamped(replace(DEATH, duration_s=640.0), 1000.0 * number))
    assert all(one or other for one, other in pairwise(kept))


def test_what_an_end_says_of_the_next_interval() -> None:
    """Deaths in the start and mistakes say nothing, an end with a save lifts the bound."""
    chosen = SaveIntervalEntry(interval_s=480.0, auto=AutoInterval(save_s=1.0))
    step, died = FirstStepEntry(startup_s=40.0), replace(DEATH, duration_s=240.0)
    mistake = replace(died, failure=Failure.CONFIGURATION, first_step=False)
    saved = replace(died, stop_requested=StopSource.SIGTERM, saved=True)
    kept = ProgressEntry(step=5)
    later = AttemptStartedEntry(attempt=2)
    for entries, interval_s in (
        ((chosen,), 480.0),
        ((chosen, step, kept, died), 100.0),
        ((chosen, step, died, kept), 100.0),
        ((chosen, step, died), 60.0),
        ((chosen, step, kept, died, later, step, died), 60.0),
        ((chosen, step, kept, replace(died, duration_s=90.0)), 60.0),
        ((chosen, step, kept, died, later, replace(died, duration_s=9.0)), 100),
        ((chosen, step, kept, died, later, mistake), 100.0),
        ((chosen, mistake), 480.0),
        ((chosen, step, died, step, saved), 480.0),
        ((chosen, step, kept, replace(died, duration_s=9000.0)), 480.0),
    ):
        live = Training(fold([Stamped(entries[0])]))
        for entry in entries[1:]:
            for listener in live.run.journal.listeners:
                listener(entry)
        for training in (Training(fold(map(Stamped, entries))), live):
            assert json.loads(str(training.costs.terms(RUN, HOUR)))["interval_s"] == interval_s


@pytest.mark.parametrize("absurd", [-2.0, -1e6, 1e200])
def test_numbers_that_cannot_be_end_no_daemon(tmp_path: Path, absurd: float) -> None:
    """Of the ledger, of a heartbeat, of the trainer's file: the next launch has good terms."""
    past = fold([
        Stamped(replace(DEATH, last_save_s=absurd), 1000.0),
        Stamped(SaveIntervalEntry(interval_s=absurd, auto=AutoInterval(save_s=absurd)), 1001.0),
    ])  # fmt: skip
    state = replace(HOUR, account=Account(training_s=absurd))
    for history in (History(), past):
        training = Training(history, interval="auto", heartbeat_dir=tmp_path)
        training.look.observed.step = 5
        training.attempt.step_time.typical_s = absurd
        training.attempt.last_save_s = absurd
        text = training.costs.terms(AUTO, state)
        assert text is not None
        tells(tmp_path, auto=True, asks=True, interval_s=absurd, save_s=absurd, nodes=int(absurd))
        training.poll(state)
        found = facts_of(training, state)
        if found is not None:
            assert found.best_s > 0
            assert save_interval_text(found)
        for told in (text, training.costs.terms(AUTO, state)):
            terms = from_json(SaveTerms, json.loads(str(told)))
            assert terms == terms.sane()
            assert terms.trained_s >= 0
            assert terms.save_s is None or 0 < terms.save_s <= 1e6
            assert 10.0 <= SavePace("auto", terms).interval_s <= LONGEST_S
        training.teller.say_last(replace(state, run=RunState.COMPLETED))

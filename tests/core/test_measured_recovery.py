"""How long a run takes to train again, by its ledger; and what is said of the best interval."""

from dataclasses import replace

import pytest

from supervisor.core.entries.attempt import AttemptEndedEntry, AttemptStartedEntry, FirstStepEntry
from supervisor.core.entries.decision import DecisionEntry, StopRequestedEntry
from supervisor.core.entries.entry import Entry, Stamped
from supervisor.core.entries.run import SupervisorStartedEntry
from supervisor.core.entries.saves import AutoInterval, SaveIntervalEntry
from supervisor.core.measured_recovery import Recoveries
from supervisor.core.replay import fold
from supervisor.core.rules.save_interval import chosen_interval_s, usual_s
from supervisor.core.save_interval_status import SaveIntervalStatus
from supervisor.core.save_interval_words import save_interval_text
from supervisor.core.vocabulary import Failure, RunState, StopSource

DEATH = AttemptEndedEntry(attempt=1, failure=Failure.EXCEPTION)
STOP = AttemptEndedEntry(attempt=1, failure=Failure.EXCEPTION, stop_requested=StopSource.INTENT)
STEP = FirstStepEntry(attempt=2, startup_s=4.0)


def recoveries(*told: tuple[float, Entry]) -> Recoveries:
    """What a ledger with these times and entries says."""
    return fold(Stamped(entry, wall=1000 + at) for at, entry in told).recoveries


def test_from_a_failure_to_the_first_step_after_it() -> None:
    """The wait counts as well, and the usual one of several is taken."""
    assert recoveries().usual_s is None
    start = AttemptStartedEntry(attempt=2)
    one = recoveries((0, STEP), (60, DEATH), (70, start), (84, STEP))
    assert one.usual_s == 24
    told: list[tuple[float, Entry]] = []
    for n in range(12):
        told += [(n * 1000, DEATH), (n * 1000 + (500 if n == 11 else 10 + n), STEP)]
    many = recoveries(*told)
    assert len(many.took_s) == 8
    assert many.usual_s == 17


@pytest.mark.parametrize(
    "between",
    [SupervisorStartedEntry(), DecisionEntry(state=RunState.HELD), STOP],
    ids=lambda entry: entry.kind,
)
def test_what_a_person_had_a_part_in_is_no_recovery(between: Entry) -> None:
    """A run that was held for days, or started by hand, says nothing of the next failure."""
    assert recoveries((0, DEATH), (5, between), (90_000, STEP)).usual_s is None
    assert recoveries((0, STOP), (90, STEP)).usual_s is None


def test_a_failure_in_the_start_is_part_of_the_next_recovery() -> None:
    """It counts from the last failure; a clock that was set back counts nothing."""
    assert recoveries((0, DEATH), (10, DEATH), (30, STEP)).usual_s == 20
    assert recoveries((0, DEATH), (-500, STEP)).usual_s is None
    asked = StopRequestedEntry(by=StopSource.INTENT)
    assert recoveries((0, asked), (10, DEATH), (30, STEP)).usual_s == 20


def test_a_clock_that_was_set_measures_no_recovery() -> None:
    """An entry without a time says nothing, nor does a recovery of more than a day."""
    for died, began in ((0.0, 50.0), (1000.0, 0.0), (1000.0, 88_000.0), (1000.0, 999.0)):
        seen = [Stamped(DEATH, wall=died), Stamped(STEP, wall=began)]
        assert fold(seen).recoveries == Recoveries()
        assert fold([*seen, Stamped(DEATH, 2e6), Stamped(STEP, 2e6 + 9)]).recoveries.usual_s == 9
    assert recoveries((0, DEATH), (86_400, STEP)).usual_s == 86_400


@pytest.mark.parametrize(
    "failure",
    [Failure.CONFIGURATION, Failure.INCOMPATIBLE_SOFTWARE, Failure.BUILD_FAILED,
     Failure.ACCESS_DENIED, Failure.CHECKPOINT_MISMATCH],
)  # fmt: skip
def test_a_mistake_before_the_first_step_is_no_failure_of_the_training(failure: Failure) -> None:
    """A wrong key three times over must not have the training save four times as often."""
    early = AttemptEndedEntry(attempt=1, failure=failure, first_step=False)
    assert fold([Stamped(early, wall=1000.0)] * 3).deaths == 0
    assert recoveries((0, early), (60, STEP)).usual_s is None
    for late in (replace(early, first_step=True), replace(early, step=7)):
        assert fold([Stamped(late, wall=1000.0)]).deaths == 1
    crash = replace(early, failure=Failure.EXCEPTION)
    assert fold([Stamped(crash, wall=1000.0)]).deaths == 1


def test_the_interval_that_a_trainer_chose_is_another_than_the_one_that_was_seen() -> None:
    """The one that was seen goes on telling when the loop's own next save is due."""
    seen = SaveIntervalEntry(attempt=1, interval_s=30.0)
    chosen = SaveIntervalEntry(attempt=1, interval_s=480.0, auto=AutoInterval(save_s=0.2))
    history = fold([Stamped(seen), Stamped(chosen)])
    assert history.save_interval_s == 30.0
    assert history.chosen == chosen
    assert SaveIntervalEntry.from_json(chosen.to_json()) == chosen
    assert "auto" not in seen.to_json()


@pytest.mark.parametrize(
    ("best", "before", "disk", "chosen"),
    [
        (900, None, 0, 900), (900, 300, 0, 600), (900, 800, 0, 900), (5, None, 0, 60),
        (9e9, None, 0, 14_400), (5, 60, 600, 2400), (5, None, 9e9, 14_400), (100, 14_400, 0, 100),
    ],
)  # fmt: skip
def test_bounds(best: float, before: float | None, disk: float, chosen: float) -> None:
    """At least a minute and four times the disk's time, at most four hours and twice as long."""
    assert chosen_interval_s(best, 60, 14_400, before_s=before, disk_s=disk) == chosen


@pytest.mark.parametrize(
    ("times", "usual"),
    [([3.0], 3.0), ([60.0, 0.1], 0.1), ([0.1, 60.0], 0.1), ([9.0, 1.0, 2.0], 1.0),
     ([0.1, 5.0] * 4, 0.1), ([0.2] * 3 + [60.0], 0.2)],
)  # fmt: skip
def test_the_usual_time(times: list[float], usual: float) -> None:
    """A slow one among a few is not the usual one."""
    assert usual_s(times) == usual


def test_the_sentence() -> None:
    """It says what is, what would be best, and from what that follows."""
    whole = SaveIntervalStatus(
        present_s=3100.0, best_s=720.0, best_steps=1400, save_s=0.05, failures=2, mttf_s=82_800.0,
        recovery_s=14.0,
    )  # fmt: skip
    assert save_interval_text(whole) == (
        "every 52 min; the least is lost by every 12 min (1,400 steps): a save takes 0.05 s,"
        " 2 failures so far, one in 23 h expected, a recovery takes 14 s"
    )
    auto = SaveIntervalStatus(present_s=60.0, best_s=720.0, save_s=40.0, auto=True)
    assert save_interval_text(auto) == (
        "every 60 s (interval: auto); the least is lost by every 12 min: a save takes 40 s,"
        " 0 failures"
    )
    assert save_interval_text(None) == save_interval_text(SaveIntervalStatus()) == ""

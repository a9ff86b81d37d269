"""Which attempt was the last good one: tables of what happened, and what the ledger makes of it."""

import pytest

from supervisor.core.entries.attempt import AttemptEndedEntry, AttemptStartedEntry, ChangedEntry
from supervisor.core.entries.entry import Entry, Stamped
from supervisor.core.entries.saves import ProgressEntry
from supervisor.core.last_good import GoodAttempt, LastGood
from supervisor.core.replay import fold


def start(attempt: int) -> Entry:
    """An attempt has started."""
    return AttemptStartedEntry(attempt=attempt)


def end(attempt: int, step_s: float | None = None) -> Entry:
    """It has ended."""
    return AttemptEndedEntry(attempt=attempt, step_s=step_s)


PROGRESS = ProgressEntry(step=10)


@pytest.mark.parametrize(
    ("entries", "before"),
    [
        ([start(1)], None),
        ([PROGRESS, start(1)], None),
        ([start(1), end(1), start(2)], None),
        ([start(1), PROGRESS, end(1)], None),
        ([start(1), PROGRESS, end(1, 0.4), start(2)], GoodAttempt(1, 0.4)),
        ([start(1), PROGRESS, end(1, 0.4), start(2), end(2, 1.9)], GoodAttempt(1, 0.4)),
        ([start(1), PROGRESS, start(1), end(1), start(2)], GoodAttempt(1)),
        ([start(1), end(1), PROGRESS, start(2)], GoodAttempt(1)),
        ([start(1), PROGRESS, end(1), start(2), end(2), start(3)], GoodAttempt(1)),
        ([start(1), PROGRESS, start(2)], GoodAttempt(1)),
        ([start(1), PROGRESS, end(1), start(2), PROGRESS, end(2), start(3)], GoodAttempt(2)),
    ],
)
def test_the_last_good_attempt_before(entries: list[Entry], before: GoodAttempt | None) -> None:
    """The last that made durable progress, seen in time or only later; never the last itself."""
    assert fold(map(Stamped, entries)).last_good.before == before


def test_what_changed_is_of_the_last_end() -> None:
    """It is told until another attempt has ended."""
    changed = ChangedEntry(attempt=2, since=1)
    told = [start(1), PROGRESS, end(1), start(2), end(2), changed]
    assert fold(map(Stamped, told)).last_good.changed == changed
    assert fold(map(Stamped, [*told, start(3)])).last_good.changed == changed
    assert fold(map(Stamped, [*told, start(3), end(3)])).last_good.changed is None


def test_what_changed_may_be_known_late() -> None:
    """The next attempt may run by then; once that has ended, its own end counts."""
    late = ChangedEntry(attempt=2, since=1)
    told = [start(1), PROGRESS, end(1), start(2), end(2), start(3)]
    assert fold(map(Stamped, [*told, late])).last_good.changed == late
    assert fold(map(Stamped, [*told, end(3), late])).last_good.changed is None


def test_the_time_of_a_step_is_on_record_where_it_is_known() -> None:
    """A short attempt leaves the entry as earlier versions wrote it."""
    entry = AttemptEndedEntry(attempt=1).without("duration_s", "last_save_s", "loss")
    assert "step_s" not in entry.with_course(1.0, None, None).to_json()
    known = entry.with_course(100.0, None, 0.5, 0.41).to_json()
    assert known["step_s"] == 0.41
    assert list(known)[-4:] == ["duration_s", "last_save_s", "loss", "step_s"]


def test_of_nothing() -> None:
    """A ledger of a version that knew nothing of it."""
    assert fold(()).last_good == LastGood()

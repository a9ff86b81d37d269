"""What the ledger is an occasion for, and when it is told."""

from collections.abc import Iterable

import pytest

from supervisor.config.telling_sections import NotifyConfig, NotifyEvent
from supervisor.core.ending import Advice
from supervisor.core.entries.attempt import (
    AttemptEndedEntry,
    AttemptStartedEntry,
    FirstStepEntry,
    HungEntry,
    Source,
)
from supervisor.core.entries.decision import DecisionEntry, ResumedEntry
from supervisor.core.entries.entry import Entry, Stamped
from supervisor.core.entries.run import (
    DaemonStartedEntry,
    ReloadedEntry,
    RequeueEntry,
    SupervisorEndedEntry,
    SupervisorStartedEntry,
)
from supervisor.core.entries.saves import ProgressEntry, SaveFailedEntry
from supervisor.core.vocabulary import Failure, RunState
from supervisor.notify.occasions import (
    ASKED_AGAIN,
    EVENTS,
    SAVES_AGAIN,
    TRAINS_AGAIN,
    Occasion,
    Occasions,
)
from supervisor.notify.outbox import YOUNG_S, Outbox

OLD = YOUNG_S + 1
CRASH = AttemptEndedEntry(
    attempt=1, failure=Failure.SEGFAULT, reason="segfault", evidence=("one", "two", "three"),
    advice=Advice(sentence="Look."),
)  # fmt: skip
START = AttemptStartedEntry(attempt=1)
AGAIN = AttemptStartedEntry(attempt=2, checkpoint=Source(path="/c/checkpoint-10", step=10))
STEP = FirstStepEntry(attempt=2)
SAVED = ProgressEntry(step=10)
UNSAVED = SaveFailedEntry(attempt=1, line="No space left on device")
HANG = HungEntry(attempt=1, reason="no step for 60 s")


def found(*entries: Entry) -> list[Occasion]:
    """The occasions of these entries, each a second after the last."""
    occasions = Occasions()
    return [one for n, entry in enumerate(entries) for one in occasions.note(Stamped(entry, n))]


def names(*entries: Entry) -> list[str]:
    """The keys of the occasions."""
    return [one.key for one in found(*entries)]


def decided(state: RunState) -> DecisionEntry:
    """A decision of which the reason is the state."""
    return DecisionEntry(state=state, reason=str(state), failure=Failure.SEGFAULT)


def refused(wait_s: float) -> DecisionEntry:
    """A launch that the hook refuses, with the pause after it."""
    return DecisionEntry(
        state=RunState.WAITING, failure=Failure.LAUNCH_REFUSED, reason="no GPU", wait_s=wait_s
    )


def test_a_hook_that_refuses_for_long_is_told_as_a_hold_once() -> None:
    """A refusal or two clear by themselves. The next launch ends it, and is a recovery."""
    assert names(START, refused(10.0), refused(320.0)) == []
    long = (refused(320.0), refused(600.0), refused(600.0))
    (one,) = found(START, *long)
    assert (one.event, one.what, one.done) == ("held", "no GPU", ASKED_AGAIN)
    assert names(*long, AGAIN, STEP, *long) == ["held-1", "recovered-1", "held-2"]


def test_the_events_are_those_of_the_configuration() -> None:
    """None can be asked for that never comes."""
    assert set(EVENTS) == set(NotifyEvent.__args__)  # type: ignore[attr-defined]
    assert set(NotifyConfig().events) <= set(EVENTS)


def test_a_crash_is_told_with_what_was_done() -> None:
    """The restart tells of it: cause, two lines of evidence, advice, the checkpoint."""
    (one,) = found(START, CRASH, AGAIN)
    assert one.key == "first_restart-1"
    assert one.what == "attempt 1 died: segfault"
    assert one.done == "Attempt 2 was started from /c/checkpoint-10."
    assert one.evidence == ("two", "three")
    assert one.advice == Advice(sentence="Look.")


def test_later_restarts_have_another_name() -> None:
    """Who wants `first_restart` alone gets one message of a run that fails each hour."""
    assert names(START, CRASH, AGAIN, CRASH, AGAIN, CRASH, AGAIN) == [
        "first_restart-1", "restarts-1", "restarts-2",
    ]  # fmt: skip


@pytest.mark.parametrize("failure", [Failure.PREEMPTED, Failure.STOPPED_BY_USER, None])
def test_a_stop_is_no_failure(failure: Failure | None) -> None:
    """The restart after it is none either."""
    assert names(START, AttemptEndedEntry(attempt=1, failure=failure), AGAIN, STEP) == []


def test_a_recovery_names_the_failures_before_it() -> None:
    """A hang and the restart after it are one failure for it; a first step without one is none."""
    *_, last = found(START, STEP, HANG, CRASH, AGAIN, STEP)
    assert (last.event, last.after) == ("recovered", ("hang-1", "first_restart-1"))
    assert names(START, STEP) == []


def test_what_was_saved_before_a_death_is_no_recovery() -> None:
    """The survey after it finds that, before and after the record of the end."""
    entries = (START, STEP, HANG, SAVED, CRASH, SAVED, AGAIN)
    assert names(*entries) == ["hang-1", "first_restart-1"]
    assert names(*entries, SAVED)[2:] == ["recovered-1"]
    assert names(START, HANG, SAVED, CRASH, decided(RunState.HELD), SAVED) == ["hang-1", "held-1"]


def test_a_failed_save_is_over_with_the_next_save() -> None:
    """Training never stopped, so no step tells of it; and it is not said to train again."""
    _, last = found(START, UNSAVED, STEP, SAVED)
    assert (last.event, last.what, last.after) == ("recovered", SAVES_AGAIN, ("disk-1",))
    *_, trains, saves = found(START, UNSAVED, CRASH, SAVED, AGAIN, STEP, SAVED)
    assert (trains.what, trains.after) == (TRAINS_AGAIN, ("first_restart-1",))
    assert (saves.what, saves.after) == (SAVES_AGAIN, ("disk-1",))
    *_, both = found(START, UNSAVED, CRASH, AGAIN, SAVED)
    assert (both.what, both.after) == (TRAINS_AGAIN, ("first_restart-1", "disk-1"))


@pytest.mark.parametrize("by", [ResumedEntry(), SupervisorStartedEntry()])
def test_a_start_by_a_person_is_no_restart(by: Entry) -> None:
    """It is not told as the death that held the run; the recovery is."""
    *_, last = found(START, CRASH, decided(RunState.HELD), by, AGAIN, STEP)
    assert (last.key, last.after) == ("recovered-1", ("held-1",))
    assert "first_restart-1" not in names(START, CRASH, decided(RunState.HELD), by, AGAIN)


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (decided(RunState.HELD), "held-1"),
        (decided(RunState.STUCK), "stuck-1"),
        (decided(RunState.COMPLETED), "finished-1"),
        (decided(RunState.PREEMPTED), "preempted-1"),
        (UNSAVED, "disk-1"),
        (AttemptEndedEntry(attempt=1, failure=Failure.DISK_FULL), "disk-1"),
        (RequeueEntry(job="7", verdict="forbidden"), "requeue_failed-1"),
    ],
)
def test_an_entry_is_an_occasion(entry: Entry, key: str) -> None:
    """Each by its event."""
    assert names(START, entry) == [key]


@pytest.mark.parametrize("verdict", ["ask", "already", "cancelled"])
def test_a_requeue_that_works_is_none(verdict: str) -> None:
    """A cancelled job is not to start again."""
    assert names(RequeueEntry(job="7", verdict=verdict)) == []


def test_a_lingering_attempt_is_no_hang() -> None:
    """What it said of its end stands."""
    assert names(START, HungEntry(attempt=1, reason="lingers", failure=None)) == []


def test_a_daemon_that_died_is_told_by_the_next() -> None:
    """A reload and an end in order are no death."""
    begin = DaemonStartedEntry(pid=1)
    assert names(begin, begin) == ["daemon_down-1"]
    assert names(begin, ReloadedEntry(), begin, SupervisorEndedEntry(), begin) == []


def told(outbox: Outbox, occasions: Iterable[Occasion], wall: float) -> list[str]:
    """What is sent at that time, after these occasions of an old run."""
    for one in occasions:
        outbox.put(one, began=one.wall - OLD)
    return [one.key for one in outbox.due(wall)]


def box(*events: str) -> Outbox:
    """An outbox that sends a message in ten minutes."""
    return Outbox(events or EVENTS, 600.0)


def made(event: str, number: int = 1, *after: str) -> Occasion:
    """An occasion."""
    return Occasion(event, number, 1000.0, event, after=after)


def test_a_burst_is_one_message() -> None:
    """What comes within ten minutes waits, and comes together."""
    outbox = box()
    assert told(outbox, [made("hang")], 1000) == ["hang-1"]
    assert told(outbox, [made("restarts", 1), made("restarts", 2)], 1100) == []
    assert told(outbox, [], 1599) == []
    assert told(outbox, [], 1600) == ["restarts-1", "restarts-2"]
    assert told(outbox, [], 9999) == []


@pytest.mark.parametrize("event", ["held", "finished"])
def test_what_is_urgent_never_waits(event: str) -> None:
    """It takes along what waits, and is itself what the message is about."""
    outbox = box()
    told(outbox, [made("hang")], 1000)
    assert told(outbox, [made(event), made("restarts")], 1001) == ["restarts-1", f"{event}-1"]


def test_only_what_is_wanted_is_told() -> None:
    """A recovery only after a failure that was told."""
    outbox = box("recovered", "hang")
    recovery = made("recovered", 1, "first_restart-1")
    assert told(outbox, [made("first_restart"), recovery], 1000) == []
    assert told(outbox, [made("hang")], 1001) == ["hang-1"]
    recovery = made("recovered", 2, "hang-1", "first_restart-2")
    assert told(outbox, [recovery], 1700) == ["recovered-2"]


def test_what_an_earlier_daemon_told_is_not_told_again() -> None:
    """Its keys are on record; a recovery from it is still told."""
    outbox = Outbox(EVENTS, 600.0, {"hang-1"})
    occasions = [made("hang"), made("recovered", 1, "hang-1")]
    assert told(outbox, occasions, 1000) == ["recovered-1"]


def test_a_young_run_tells_only_that_it_is_held() -> None:
    """Whoever started it looks at it."""
    outbox = box()
    for one in (made("hang"), made("finished"), made("held")):
        outbox.put(one, began=one.wall - 10)
    assert [one.key for one in outbox.due(1000)] == ["held-1"]


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    """The wait is over at once."""
    outbox = box()
    told(outbox, [made("hang")], 5000)
    assert told(outbox, [made("hang", 2)], 100) == ["hang-2"]


def test_a_run_is_not_young_because_a_clock_was_set_back() -> None:
    """Its first attempt then seems to begin in the future."""
    outbox = box()
    outbox.put(made("hang"), began=1000.0 + 30 * 86400)
    assert [one.key for one in outbox.due(1000)] == ["hang-1"]

"""When it is told what changed: after which ends, in which order, and what is left out."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.core.changed_status import ChangedStatus, DifferenceStatus
from supervisor.core.entries.attempt import (
    AttemptEndedEntry,
    AttemptStartedEntry,
    ChangedEntry,
    Difference,
)
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.run import IncidentEntry
from supervisor.core.entries.saves import ProgressEntry
from supervisor.core.last_good import LastGood
from supervisor.core.vocabulary import Failure, StopSource
from supervisor.daemon.look.surroundings.asking import Compared
from supervisor.daemon.look.surroundings.comparing import Change
from supervisor.daemon.tell import changes
from supervisor.daemon.tell.changes import Changes

TORCH = Change("framework", "torch", "2.6.0", "2.7.1")


class FakeChild:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.questions: list[Mapping[str, Any]] = []
        self.answer: Compared | None = None
        self.is_cancelled = False

    def ask(self, question: Mapping[str, Any], now: float) -> Compared | None:
        """Note what is asked."""
        json.dumps(question)
        self.questions.append(question)
        return None

    def poll(self, now: float) -> Compared | None:
        """The answer, once."""
        found, self.answer = self.answer, None
        return found

    def cancel(self) -> None:
        """Note it."""
        self.is_cancelled = True


class World:
    """A run's record, its terminal, and the changes that are told."""

    def __init__(self, folder: Path) -> None:
        self.entries: list[Entry] = []
        self.said: list[str] = []
        self.child = FakeChild()
        self.journal = SimpleNamespace(
            listeners=[], record=self.record, log=SimpleNamespace(warning=self._warn)
        )
        self.problems: list[dict[str, Any]] = []
        run = SimpleNamespace(
            history=SimpleNamespace(last_good=LastGood()),
            journal=self.journal,
            console=SimpleNamespace(say=self.said.append),
            config=SimpleNamespace(command=["python", "t.py"], env={"A": "1"}),
            paths=SimpleNamespace(surroundings=folder / "surroundings"),
            run_id="mine",
        )
        self.changes = Changes(run, self.child)  # type: ignore[arg-type]

    def _warn(self, event: str, **keys: Any) -> None:
        self.problems.append({"event": event, **keys})

    def record(self, *entries: Entry) -> None:
        """As the journal does."""
        for entry in entries:
            self.entries.append(entry)
            for listener in self.journal.listeners:
                listener(entry)

    def look(self, attempt: int, *, now: float = 10.0, beating: bool = True) -> None:
        """One look at an attempt that began at 0."""
        look = SimpleNamespace(observed=SimpleNamespace(beating=beating, step=None), pages=())
        seen = SimpleNamespace(number=attempt, look=look, pid=77, started_at=0.0)
        self.changes.note_look(seen, now)  # type: ignore[arg-type]
        self.changes.poll(now)

    def answer(self, *found: Change, more: int = 0, problem: str | None = None) -> None:
        """The child answers."""
        self.child.answer = Compared(found, more, problem)
        self.changes.poll(0.0)

    def good(self, attempt: int, step_s: float | None = None) -> None:
        """An attempt that makes progress and is killed."""
        self.record(AttemptStartedEntry(attempt=attempt))
        self.look(attempt)
        self.answer()
        self.record(ProgressEntry(step=10 * attempt))
        self.end(attempt, step_s=step_s)

    def end(
        self,
        attempt: int,
        failure: Failure = Failure.KILLED,
        *,
        stop: StopSource | None = None,
        step_s: float | None = None,
    ) -> None:
        """An attempt ends."""
        self.record(
            AttemptEndedEntry(attempt=attempt, failure=failure, stop_requested=stop, step_s=step_s)
        )
        self.changes.poll(0.0)

    @property
    def told(self) -> list[ChangedEntry]:
        """The entries that tell what changed."""
        return [entry for entry in self.entries if isinstance(entry, ChangedEntry)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A run whose first attempt was good."""
    made = World(tmp_path)
    made.good(1, step_s=0.41)
    made.record(AttemptStartedEntry(attempt=2))
    return made


def test_each_attempt_is_asked_about_once(world: World) -> None:
    """When it has begun to train, and against the last good one before it."""
    world.look(2, beating=False)
    assert len(world.child.questions) == 1
    world.look(2)
    world.look(2)
    first, second = world.child.questions
    assert (first["attempt"], first["since"]) == (1, None)
    assert (second["attempt"], second["since"], second["pids"]) == (2, 1, [77])


def test_a_command_that_never_beats_is_asked_about_after_a_minute(world: World) -> None:
    """By then it trains, or nobody can tell."""
    world.look(2, beating=False, now=59.0)
    assert len(world.child.questions) == 1
    world.look(2, beating=False, now=60.0)
    assert len(world.child.questions) == 2


def test_a_death_tells_what_changed(world: World, tmp_path: Path) -> None:
    """In the ledger, on the terminal, in `status.json`, in the incident."""
    world.look(2)
    world.answer(TORCH, more=3)
    assert world.told == []
    assert world.changes.told is None
    world.record(
        AttemptEndedEntry(attempt=2, failure=Failure.EXCEPTION, step_s=1.9),
        IncidentEntry(id=1, attempt=2, folder=str(tmp_path)),
    )
    world.changes.poll(0.0)
    step = Difference(kind="step_time", what="step time", before="0.41 s", after="1.9 s")
    torch = Difference(kind="framework", what="torch", before="2.6.0", after="2.7.1")
    assert world.told == [ChangedEntry(attempt=2, since=1, differences=(torch, step), more=3)]
    said = "changed since attempt 1: torch 2.6.0 → 2.7.1, step time 0.41 s → 1.9 s, and 3 more"
    assert world.said == [f"attempt 2: {said}"]
    assert world.changes.told == ChangedStatus(
        2,
        1,
        (
            DifferenceStatus("framework", "torch", "2.6.0", "2.7.1"),
            DifferenceStatus("step_time", "step time", "0.41 s", "1.9 s"),
        ),
        3,
    )
    assert (tmp_path / "changed.txt").read_text().splitlines() == [
        "changed since attempt 1:", "torch 2.6.0 → 2.7.1", "step time 0.41 s → 1.9 s", "and 3 more",
    ]  # fmt: skip
    world.changes.poll(0.0)
    assert len(world.told) == 1


@pytest.mark.parametrize(
    ("failure", "stop"),
    [
        (Failure.COMPLETED, None),
        (Failure.PREEMPTED, None),
        (Failure.FILESYSTEM, StopSource.SIGTERM),
        (Failure.STOPPED_BY_USER, StopSource.INTENT),
    ],
)
def test_other_ends_need_no_explanation(
    world: World, failure: Failure, stop: StopSource | None
) -> None:
    """It finished, or was asked to stop."""
    world.look(2)
    world.answer(TORCH)
    world.end(2, failure, stop=stop)
    assert world.told == []
    assert world.said == []


def test_nothing_is_told_where_nothing_changed(world: World) -> None:
    """Nor where nothing is known: then the daemon's log says why."""
    world.look(2)
    world.answer()
    world.end(2)
    world.record(AttemptStartedEntry(attempt=3))
    world.look(3)
    world.answer(problem="no answer within 30 s")
    world.end(3)
    assert world.told == []
    assert [one["why"] for one in world.problems] == ["no answer within 30 s"]


def test_a_death_before_the_first_step(world: World) -> None:
    """Asked about at its end; the next attempt may run when it is told."""
    world.end(2, Failure.EXCEPTION)
    assert world.child.questions[-1]["attempt"] == 2
    assert world.child.questions[-1]["pids"] == []
    world.record(AttemptStartedEntry(attempt=3))
    world.look(3)
    assert len(world.child.questions) == 2  # one at a time
    world.answer(TORCH)
    assert [entry.attempt for entry in world.told] == [2]
    assert world.changes.told is not None
    world.changes.poll(0.0)
    assert world.child.questions[-1]["attempt"] == 3
    world.answer(TORCH)
    world.end(3)
    assert [entry.attempt for entry in world.told] == [2, 3]


def test_progress_makes_the_next_comparison(world: World) -> None:
    """An attempt that dies is compared to the good one before it, never to itself."""
    world.look(2)
    world.answer(TORCH)
    world.record(ProgressEntry(step=20))
    world.end(2)
    assert [entry.since for entry in world.told] == [1]
    world.record(AttemptStartedEntry(attempt=3))
    world.look(3)
    assert world.child.questions[-1]["since"] == 2


def test_no_good_attempt_no_comparison(tmp_path: Path) -> None:
    """The first attempt that dies has nothing to be compared with: it is not even asked about."""
    world = World(tmp_path)
    world.record(AttemptStartedEntry(attempt=1))
    world.end(1)
    assert world.child.questions == []


def test_the_end_waits_a_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the answer of a child that was just asked, and no longer than that."""
    monkeypatch.setattr(changes, "LAST_WAIT_S", 0.05)
    world.end(2, Failure.CONFIGURATION)
    world.changes.finish()
    assert world.told == []
    assert world.child.is_cancelled
    world.child.answer = Compared((TORCH,))
    world.changes.finish()
    assert [entry.attempt for entry in world.told] == [2]


def test_a_crash_loop_asks_for_the_newest(world: World) -> None:
    """Deaths that come faster than answers: memory does not grow."""
    for attempt in range(2, 50):
        world.record(AttemptStartedEntry(attempt=attempt))
        world.end(attempt)
    assert len(world.changes._questions) <= 4
    assert len(world.changes._deaths) <= 2
    for _ in range(5):
        world.answer(TORCH)
    assert [entry.attempt for entry in world.told] == [48, 49]
    assert len(world.changes._compared) <= 2

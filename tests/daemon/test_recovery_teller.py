"""What is told of a training's saves and of a stop while it runs, and what is told again."""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.trainer import RecoveryEntry
from supervisor.core.history import History
from supervisor.core.sign_of_life import StopAnswer
from supervisor.core.states import Policy, State
from supervisor.core.trainer_description import TrainerDescription
from supervisor.core.vocabulary import RunState, Tier
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.look.next_save import NextSave
from supervisor.daemon.look.printed_course import Course
from supervisor.daemon.look.save_costs import SaveCosts
from supervisor.daemon.parts import Parts
from supervisor.daemon.run import Run
from supervisor.daemon.tell.recovery import PACE_S, RecoveryTeller
from supervisor.survey.answer import Survey
from tests.call_count import calls_of

STARTED_S = 100_000.0
STATE = State(policy=Policy(), run=RunState.RUNNING, attempt=1, alive=True)


class Training:
    """An attempt that prints steps, what is told of it, and the clock of the looks."""

    def __init__(
        self,
        history: History | None = None,
        *,
        interval: str | None = None,
        heartbeat_dir: Path = Path("/nonexistent"),
    ) -> None:
        self.recorded: list[Entry] = []
        self.lines: list[str] = []
        self.said: list[str] = []
        journal = SimpleNamespace(
            record=self.recorded.append, listeners=[], log=SimpleNamespace(warning=print)
        )
        self.run = SimpleNamespace(
            history=history or History(),
            journal=journal,
            config=SimpleNamespace(
                command=["python", "train.py"],
                grace=120.0,
                checkpoints=SimpleNamespace(
                    interval=interval, interval_min=60.0, interval_max=3600.0
                ),
            ),
            console=SimpleNamespace(
                say_paragraph=self.said.append, say=lambda line, *_: self.lines.append(line)
            ),
            surveyor=SimpleNamespace(directory=Path("/out")),
        )
        self.saves = NextSave(cast("Run", self.run))
        self.saves.follow(1, time.monotonic() - STARTED_S)
        self.costs = SaveCosts(cast("Run", self.run))
        self.teller = RecoveryTeller(cast("Run", self.run), self.saves, self.costs)
        self.look = SimpleNamespace(
            observed=SimpleNamespace(step=None, beating=False, attached=False),
            course=Course(step=5, loss=0.5),
            description=None,
            pages=(),
        )
        self.attempt = SimpleNamespace(
            number=1,
            pid=None,
            look=self.look,
            last_save_s=None,
            heartbeat_dir=heartbeat_dir,
            step_time=SimpleNamespace(typical_s=None),
            moments={"chosen": 1.0},
            signs=SimpleNamespace(living=()),
        )
        self.polls = 0

    def poll(self, state: State = STATE) -> None:
        """Look several times, within a moment."""
        for _ in range(5):
            self.polls += 1
            now = time.monotonic() + (PACE_S if self.polls > 1 else 0.0)
            self.teller.poll(state, cast("RunningAttempt", self.attempt), now)

    def survey(self, *entries: CheckpointEntry) -> None:
        """A survey has found these, and the run is looked at."""
        survey = Survey(entries=entries, newest_valid=next((e for e in entries if e.valid), None))
        self.saves.note_survey(survey)
        self.teller.note_survey(survey, time.time() - STARTED_S)
        self.poll()

    def of_stops(self) -> list[str]:
        """The last sentence of each paragraph, which is of a stop."""
        return [one.sentences[-1] for one in self.recorded if isinstance(one, RecoveryEntry)]

    def about(self) -> list[str]:
        """The first sentence of each paragraph."""
        return [one.sentences[0] for one in self.recorded if isinstance(one, RecoveryEntry)]


def saved(ago_s: float, name: str = "", **more: object) -> CheckpointEntry:
    """A proven checkpoint of this attempt, written so long ago."""
    facts: dict[str, Any] = dict.fromkeys(CheckpointEntry.__dataclass_fields__)
    facts |= {"path": Path("/out") / (name or f"c-{ago_s:.0f}"), "tier": Tier.DISK, "hashes": {}}
    facts |= {"valid": True, "own_run": True, "candidate": True, "name": facts["path"].name}
    facts |= {"mtime": time.time() - ago_s, **more}
    return CheckpointEntry(**facts)


def growing(training: Training, name: str, *before: CheckpointEntry) -> None:
    """A checkpoint that takes 12 s to be written: each survey finds it at another time."""
    for ago_s in range(12, 0, -2):
        training.survey(*before, saved(ago_s, name, valid=None))


def test_one_checkpoint_that_is_being_written_is_no_interval() -> None:
    """Its time changes with each look. Nothing is told of how often the trainer saves."""
    training = Training()
    growing(training, "first.pt")
    assert not any("every" in sentence for sentence in training.about())


def test_the_interval_is_that_of_complete_saves() -> None:
    """Three that are proven, and one that is being written."""
    training = Training()
    three = [saved(908.0), saved(608.0), saved(308.0)]
    training.survey(*three[:2])
    assert "every" not in " ".join(training.about())
    training.survey(*three)
    growing(training, "next.pt", *three)
    assert training.about()[-1] == "the trainer saves into /out about every 5 min as seen so far"
    assert len(training.about()) == 2


def test_saves_that_come_in_pairs() -> None:
    """A best checkpoint beside each epoch's: half of the times between them tell nothing."""
    training = Training()
    pairs = [saved(20_000.0 - 3600.0 * n - 2.0 * m, f"c-{n}-{m}") for n in range(5) for m in (0, 1)]
    for count in range(1, len(pairs) + 1):
        training.survey(*pairs[:count])
    assert not any(" s as seen" in sentence for sentence in training.about())
    training.survey(*pairs, saved(2000.0, "last"))
    assert training.about()[-1].endswith("about every 60 min as seen so far")


def test_a_next_daemon_does_not_tell_it_again() -> None:
    """Unless the trainer saves far less often than was told."""
    training = Training()
    training.survey(saved(908.0), saved(608.0), saved(308.0))
    keys = tuple(one.about for one in training.recorded if isinstance(one, RecoveryEntry))
    history = replace(History(), recovery_keys=keys)
    again = Training(history)
    again.survey(saved(1200.0), saved(800.0), saved(400.0))
    assert again.about() == []
    other = Training(history)
    other.survey(saved(5000.0), saved(3000.0), saved(1000.0))
    (told,) = other.about()
    assert told.endswith("about every 33 min as seen so far")


def test_what_is_no_save_of_this_attempt() -> None:
    """Saves of before, of others, damaged ones and snapshots are no sign of training."""
    training = Training()
    training.look.course = Course()
    others: Iterable[CheckpointEntry] = (
        saved(STARTED_S + 9.0),
        saved(700.0, own_run=False),
        saved(400.0, valid=False),
        saved(100.0, tier=Tier.MEMORY),
    )
    training.survey(*others)
    assert training.recorded == []


def test_pauses_between_attempts_are_no_intervals() -> None:
    """The first survey of a new daemon comes before its attempt, and finds the saves of others."""
    training = Training()
    saves = NextSave(cast("Run", training.run))
    others = dict.fromkeys(Parts.__dataclass_fields__) | {"next_save": saves}
    parts = Parts(**cast("Any", others))
    parts.note_saves(Survey(entries=(saved(90_000.0), saved(5000.0))))
    assert saves.interval_s is None
    parts.attempt = cast("Any", SimpleNamespace(number=3, started_at=time.monotonic() - 1000.0))
    parts.note_saves(Survey(entries=(saved(90_000.0), saved(900.0), saved(600.0))))
    assert 299.0 < (saves.interval_s or 0.0) < 301.0


def test_thousands_of_checkpoints_cost_little() -> None:
    """The work grows with their number, not with its square."""

    def cost(number: int) -> int:
        training = Training()
        many = tuple(saved(90_000.0 - n, f"c-{n}") for n in range(number))
        return calls_of(lambda: training.survey(*many))

    assert cost(2000) < 3 * cost(1000)


def test_an_adapter_that_said_how_often_it_saves() -> None:
    """What was seen does not replace it."""
    training = Training()
    training.look.description = cast(
        "Any", TrainerDescription(framework="huggingface 5.24", save_every=50, stop="saves")
    )
    training.attempt.step_time.typical_s = 1.0
    training.survey(saved(908.0), saved(608.0), saved(308.0))
    (told,) = training.about()
    assert "every 50 steps (about every 50 s)" in told


def test_status_names_the_directory_of_this_start() -> None:
    """A directory that differs in a number alone is not told anew, and shown all the same."""
    for training in (Training(), Training(History(recovery=("version_7",)))):
        for version in (0, 1):
            place = f"/out/version_{version}"
            training.look.description = cast(
                "Any", TrainerDescription(framework="lightning 2.6", directory=place, save_every=5)
            )
            training.attempt.step_time.typical_s = 1.0
            training.survey(saved(8.0))
            assert place in training.teller.told[0]
        assert len(training.about()) == 1


# It handles SIGTERM once it is told to.
TRAINER = """
import signal, sys
print("up", flush=True)
for line in sys.stdin:
    signal.signal(signal.SIGTERM, print)
    print("handled", flush=True)
"""


@contextmanager
def process() -> Iterator[subprocess.Popen[str]]:
    """A trainer's process, in which SIGTERM has its default action."""
    words = [sys.executable, "-c", TRAINER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        try:
            yield child
        finally:
            child.kill()


def take_sigterm(child: subprocess.Popen[str]) -> None:
    """From now on the process handles SIGTERM."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("now\n")
    child.stdin.flush()
    assert child.stdout.readline() == "handled\n"


@pytest.mark.parametrize("handles", [False, True])
def test_a_loop_that_describes_itself_after_its_first_bar(*, handles: bool) -> None:
    """Its data were being made ready. By its first step the hook may have taken SIGTERM."""
    training = Training()
    with process() as child:
        training.attempt.pid = child.pid
        training.poll()
        assert training.of_stops()[-1].endswith("it gets SIGTERM and saves nothing")
        if handles:
            take_sigterm(child)
        training.look.description = cast("Any", TrainerDescription(framework="torch 2.13"))
        training.poll()
        assert "waits for its next save" in training.of_stops()[-1]
        if not handles:
            take_sigterm(child)
        training.poll()
        assert len(training.of_stops()) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (StopAnswer.HANDLED, "waits for its next save"),
        (StopAnswer.ENDS, "waits for its next save"),
        (StopAnswer.NONE, "left to the script"),
    ],
)
def test_whose_handler_it_is(answer: StopAnswer, words: str) -> None:
    """A loop's own signs tell whether the hook has taken SIGTERM."""
    training = Training()
    with process() as child:
        take_sigterm(child)
        training.attempt.pid = child.pid
        training.attempt.signs.living = (SimpleNamespace(stop=answer),)
        training.poll()
        assert words in training.of_stops()[-1]


def test_a_handler_that_turns_out_to_be_the_hooks() -> None:
    """The first look came between the handler and the sign that tells of it."""
    training = Training()
    with process() as child:
        take_sigterm(child)
        training.attempt.pid = child.pid
        training.attempt.signs.living = (SimpleNamespace(stop=StopAnswer.NONE),)
        training.poll()
        training.attempt.signs.living = (SimpleNamespace(stop=StopAnswer.HANDLED),)
        training.poll()
        assert "waits for its next save" in training.of_stops()[-1]

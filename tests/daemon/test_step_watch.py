"""Whether an attempt resumed, by its steps: trainers of every kind, simulated look by look."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.core.entries.decision import BeginAgainEntry
from supervisor.core.entries.entry import Entry, Stamped
from supervisor.core.events import BeginsAnew, Event, GoesOn, Observed
from supervisor.core.history import History
from supervisor.core.replay import fold_entry
from supervisor.daemon.look.observer import Observation
from supervisor.daemon.look.progress import ProgressReader
from supervisor.daemon.look.step_watch import StepWatch
from supervisor.daemon.run import Run
from supervisor.survey.answer import Survey

LOOK_S = 0.5
STEP_S = 0.2
BAR = r"(?P<step>\d+)/\d+"


class Moment(NamedTuple):
    """What a trainer does within one step of its loop, in `took_s`."""

    line: str = ""
    beat: int | None = None
    epoch: int | None = None
    save: str | None = None
    took_s: float = STEP_S
    training: tuple[str, int] | None = None


Trainer = Iterator[Moment]


@dataclass
class Bench:
    """A run of several attempts with its own clock, and a ledger that the next daemon reads."""

    pattern: str | None = None
    now: float = 1000.0
    ledger: list[Entry] = field(default_factory=list)
    on_disk: dict[str, float] = field(default_factory=dict)
    attempt: int = 0
    command: tuple[str, ...] = ("python", "t.py")

    def daemon(self) -> tuple[StepWatch, list[Event]]:
        """A daemon at its start, with the ledger's history."""
        history = History()
        for entry in self.ledger:
            history = fold_entry(history, Stamped(entry))
        run = SimpleNamespace(
            history=history,
            config=SimpleNamespace(
                command=self.command, watch=SimpleNamespace(progress=self.pattern)
            ),
            journal=SimpleNamespace(record=self.ledger.append),
        )
        events: list[Event] = []
        return StepWatch(cast("Run", run), events.append), events

    def run(
        self, trainer: Trainer, from_: str | None = None, *, until: int = 10**9
    ) -> BeginsAnew | GoesOn | None:
        """Run an attempt for so many moments; the first finding that is not a doubt."""
        watch, events = self.daemon()
        self.attempt += 1
        watch.begin(self.attempt, from_, self.now, is_fresh=from_ is None)
        watch.note_survey(self.survey())
        reader = ProgressReader(self.pattern) if self.pattern else None
        lines: list[str] = []
        look_at, last = self.now + LOOK_S, Moment()
        for count, moment in enumerate(trainer):
            if count >= until:
                break
            self.now += moment.took_s
            lines += [moment.line] if moment.line else []
            if moment.save is not None:
                self.on_disk[moment.save] = self.now
            last = moment
            while self.now >= look_at:
                watch.note_look(self.look(reader, lines, last), look_at, look_at)
                if int(look_at * 2) % 4 == 0:
                    watch.note_survey(self.survey())
                lines, look_at = [], look_at + LOOK_S
        watch.note_look(self.look(reader, lines, last), self.now, self.now)
        watch.note_survey(self.survey())
        found = [e for e in events if isinstance(e, BeginsAnew | GoesOn)]
        return found[0] if found else None

    def look(self, reader: ProgressReader | None, lines: list[str], last: Moment) -> Observation:
        """One look of the daemon."""
        return Observation(
            observed=Observed(self.attempt, beating=last.beat is not None),
            pages=(), lines=tuple(lines), epoch=last.epoch, loss=None, step_rate=None,
            heartbeat_age_s=None, last_save_s=None, world_size=None, beat_step=last.beat,
            beat_training=last.training,
            printed=() if reader is None else reader.feed(lines),
        )  # fmt: skip

    def survey(self) -> Survey:
        """The checkpoints on the disk; none is proven yet."""
        entries = [
            CheckpointEntry(
                path=Path(path), name=os.path.basename(path), step=int(path.rpartition("-")[2]),
                epoch=None, kind=None, bytes=1, valid=None, proof=None, reason=None,
                fingerprint="", hashes={}, ours=False, own_run=True, candidate=False, finite=None,
                mtime=written, remembered=False, rememberable=False, tier="disk", pinned=False,
            )
            for path, written in self.on_disk.items()
        ]  # fmt: skip
        return cast("Survey", SimpleNamespace(entries=entries))


def counting(
    start: int,
    *,
    line: str = "",
    beats: bool = False,
    every: int = 10,
    end: int = 200,
    named: Callable[[int], int] = lambda step: step,
    **more: Any,
) -> Trainer:
    """A loop that counts on from `start` and saves each `every` steps."""
    for step in range(start + 1, end + 1):
        save = f"/out/checkpoint-{named(step)}" if step % every == 0 else None
        text = line.format(step=step, percent=step * 100 // end)
        yield Moment(text, step if beats else None, save=save, **more)


def hf_bar(start: int, **more: Any) -> Trainer:
    """HF's bar: 0 first, then the step at which it resumes."""
    yield Moment("  0%|          | 0/200 [00:00<?, ?it/s]")
    yield from counting(start, line=" {percent}%|▎ | {step}/200 [00:01<00:38, 5.0it/s]", **more)


def lightning(start: int, batches: int = 50) -> Trainer:
    """Lightning: a bar of each epoch, like 45/50."""
    for step in range(start, 200):
        save = f"/out/checkpoint-{step}" if step and step % 10 == 0 else None
        epoch, batch = divmod(step, batches)
        yield Moment(f"Epoch {epoch}: {batch * 2}%|▎| {batch + 1}/{batches} [00:01<]", save=save)


def unlabelled_epochs(start: int, batches: int = 50) -> Trainer:
    """The same bars without the epoch's name."""
    for step in range(start, 200):
        save = f"/out/checkpoint-{step}" if step and step % 10 == 0 else None
        yield Moment(f"{step % batches + 1}/{batches} [00:01<]", save=save)


def skipping(start: int, label: str, total: int, took_s: float) -> Trainer:
    """A loop that counts through the batches it was trained on before."""
    for batch in range(start + 1):
        yield Moment(
            f"{label}: {batch * 100 // total}%|▎ | {batch}/{total} [00:01<]", took_s=took_s
        )


# name, pattern, the fresh trainer, after how many moments it dies, the checkpoint of the next
# attempt, and its trainer.
HEALTHY: list[tuple[str, str | None, Trainer, int, str, Trainer]] = [
    ("HF", BAR, hf_bar(0), 46, "/out/checkpoint-40", hf_bar(40)),
    ("beats", None, counting(0, beats=True), 46, "/out/checkpoint-40", counting(40, beats=True)),
    ("Lightning", BAR, lightning(0), 85, "/out/checkpoint-80", lightning(80)),
    ("Lightning, the first epoch", BAR, lightning(0), 46, "/out/checkpoint-40", lightning(0)),
    ("bars without a word, the second epoch", BAR, unlabelled_epochs(0), 97, "/out/checkpoint-90",
     unlabelled_epochs(50)),
    ("a skip bar", BAR, hf_bar(0), 46, "/out/checkpoint-40",
     skipping(40, "Skipping the first batches", 40, STEP_S)),
    ("a skip bar without a word", BAR, hf_bar(0), 46, "/out/checkpoint-40",
     skipping(40, "", 40, STEP_S)),
    ("the bar itself skips", BAR, hf_bar(0), 46, "/out/checkpoint-40",
     skipping(40, "", 200, STEP_S / 3)),
    ("it beats as it skips", None, counting(0, beats=True), 46, "/out/checkpoint-40",
     counting(0, beats=True, took_s=STEP_S / 3)),
    ("accumulation", None, counting(0, beats=True, every=40, named=lambda s: s // 4, end=800), 190,
     "/out/checkpoint-40", counting(160, beats=True, end=800)),
    ("accumulation, by the optimizer's steps", None,
     counting(0, beats=True, every=40, named=lambda s: s // 4, end=800), 190, "/out/checkpoint-40",
     counting(40, beats=True, end=800)),
    ("a rollback", r"step (?P<step>\d+)", counting(0, line="step {step}"), 46, "/out/checkpoint-20",
     counting(20, line="step {step}")),
    ("a rollback to the first", r"step (?P<step>\d+)", counting(0, line="step {step}"), 46,
     "/out/checkpoint-10", counting(10, line="step {step}")),
    ("four times the batch", r"step (?P<step>\d+)", counting(0, line="step {step}"), 46,
     "/out/checkpoint-40", counting(10, line="step {step}")),
    ("no step beyond the first", r"step (?P<step>\d+)", counting(0, line="step {step}"), 46,
     "/out/checkpoint-40", counting(0, line="step {step}", end=1)),
    ("another pattern's lines", r"step (?P<step>\d+)", counting(0, line="step {step}"), 46,
     "/out/checkpoint-40", counting(0, line="eval step {step}")),
    ("only two saves", r"step (?P<step>\d+)", counting(0, line="step {step}"), 26,
     "/out/checkpoint-20", counting(0, line="step {step}")),
    ("a bar of its own beside rare beats", BAR,
     (m._replace(beat=n // 20 * 20 or None) for n, m in enumerate(hf_bar(0))), 46,
     "/out/checkpoint-40",
     (m._replace(beat=(n + 40) // 20 * 20) for n, m in enumerate(hf_bar(0)))),
    ("epochs of a beat", None, counting(0, beats=True, epoch=0), 46, "/out/checkpoint-40",
     counting(0, beats=True, epoch=1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "fresh", "dies_after", "path", "resumed"),
    [case[1:] for case in HEALTHY],
    ids=[case[0] for case in HEALTHY],
)
def test_what_resumes_is_not_said_to_begin_anew(
    pattern: str | None, fresh: Trainer, dies_after: int, path: str, resumed: Trainer
) -> None:
    """A resume that is not certain is not called a new beginning."""
    bench = Bench(pattern)
    assert bench.run(fresh, until=dies_after) is None
    assert not isinstance(bench.run(resumed, path), BeginsAnew)


@pytest.mark.parametrize(
    ("pattern", "fresh", "anew", "is_beat"),
    [
        (r"step (?P<step>\d+)", counting(0, line="step {step}"), counting(0, line="step {step}"),
         False),
        (BAR, hf_bar(0), hf_bar(0), False),
        (None, counting(0, beats=True), counting(0, beats=True), True),
        (r"step (?P<step>\d+)", counting(0, line="step {step}", beats=True),
         counting(0, line="step {step}", beats=True), True),
    ],
    ids=["lines", "HF's bar", "beats", "both"],
)  # fmt: skip
def test_an_argument_that_is_ignored_is_seen_before_the_next_save(
    pattern: str | None, fresh: Trainer, anew: Trainer, is_beat: bool
) -> None:
    """A counter that begins anew is found within 8 steps, though another daemon has begun."""
    bench = Bench(pattern)
    bench.run(fresh, until=46)
    found = bench.run(anew, "/out/checkpoint-40", until=8)
    assert isinstance(found, BeginsAnew)
    assert found.is_beat is is_beat
    assert 1 <= found.first <= 3
    assert 37 <= found.expected <= 40
    assert found.last < 8
    assert found.writes_over


def test_the_log_raises_a_doubt_where_nothing_would_be_written_over() -> None:
    """Pruned checkpoints leave nothing to write over, but the log still raises the doubt."""
    bench = Bench(r"step (?P<step>\d+)")
    bench.run(counting(0, line="step {step}"), until=46)
    for step in (10, 20):
        del bench.on_disk[f"/out/checkpoint-{step}"]
    found = bench.run(counting(0, line="step {step}"), "/out/checkpoint-40", until=8)
    assert isinstance(found, BeginsAnew)
    assert not found.writes_over


def test_a_resume_that_is_seen_is_told() -> None:
    """A resume that is seen ends an earlier doubt."""
    bench = Bench(r"step (?P<step>\d+)")
    bench.run(counting(0, line="step {step}"), until=46)
    found = bench.run(counting(40, line="step {step}"), "/out/checkpoint-40", until=8)
    assert isinstance(found, GoesOn)


def test_another_command_is_another_source() -> None:
    """Another command's steps may count something else, like a larger batch."""
    bench = Bench(r"step (?P<step>\d+)")
    bench.run(counting(0, line="step {step}"), until=46)
    bench.command = ("python", "t.py", "--batch", "64")
    anew = counting(0, line="step {step}")
    assert bench.run(anew, "/out/checkpoint-40", until=8) is None


def test_a_run_that_begins_again_has_nothing_to_be_compared_with() -> None:
    """After `run --from-nothing` earlier steps are not compared any more."""
    bench = Bench(r"step (?P<step>\d+)")
    bench.run(counting(0, line="step {step}"), until=46)
    bench.ledger.append(BeginAgainEntry())
    anew = counting(0, line="step {step}")
    assert bench.run(anew, "/out/checkpoint-40", until=8) is None


def test_the_record_stays_small() -> None:
    """The record has one entry per save and source, not one per look."""
    bench = Bench(r"step (?P<step>\d+)")
    bench.run(counting(0, line="step {step}"))
    kinds = [entry.kind for entry in bench.ledger]
    assert kinds.count("steps_began") == 1
    assert kinds.count("save_seen") == 20


def stages(*starts: int | None, place: str | None = None) -> Trainer:
    """Two trainings in one process, of 60 steps each; None: that one is left out.

    `place`: the directory of both, as of folds. Otherwise each has its own.
    """
    for number, start in enumerate(starts, start=1):
        if start is None:
            continue
        folder = place or f"/stage{number}"
        training = (folder, number if place else 1)
        for step in range(start + 1, 61):
            save = f"{folder}/checkpoint-{step}" if step % 10 == 0 else None
            yield Moment(beat=step, save=save, training=training)


@pytest.mark.parametrize("place", [None, "/folds"])
def test_a_first_stage_that_is_repeated_is_no_second_beginning(place: str | None) -> None:
    """Killed in stage 2, the process repeats stage 1: its steps begin anew, and rightly so."""
    bench = Bench()
    bench.run(stages(0, 0, place=place), until=60 + 46)
    path = f"{place or '/stage2'}/checkpoint-40"
    assert not isinstance(bench.run(stages(0, 40, place=place), path), BeginsAnew)
    if place is None:  # of two folds, the first has written the checkpoint anew by now
        assert not isinstance(bench.run(stages(0, 40), path, until=30), BeginsAnew)


def test_a_second_stage_that_begins_anew_is_seen() -> None:
    """Told to go on in stage 2, it repeats stage 1, and then stage 2 from its first step."""
    bench = Bench()
    bench.run(stages(0, 0), until=60 + 46)
    found = bench.run(stages(0, 0), "/stage2/checkpoint-40", until=60 + 8)
    assert isinstance(found, BeginsAnew)
    assert found.last < 8


def test_a_second_stage_after_a_resumed_first_is_no_second_beginning() -> None:
    """Told to go on in stage 1, the process comes to stage 2, which has nothing to go on from."""
    bench = Bench()
    bench.run(stages(0), until=46)
    found = bench.run(stages(40, 0), "/stage1/checkpoint-40")
    assert isinstance(found, GoesOn)

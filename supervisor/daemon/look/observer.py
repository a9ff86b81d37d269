"""Looks at a running attempt: heartbeat pages, the log's growth, the step. It only looks."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from supervisor.core.events import Observed
from supervisor.core.trainer_description import TrainerDescription
from supervisor.core.vocabulary import Phase
from supervisor.daemon.look.description_file import DescriptionFile
from supervisor.daemon.look.known_total import KnownTotal, ShownTotal, is_at_last_step
from supervisor.daemon.look.logtail import LogTail
from supervisor.daemon.look.page_set import PageSet
from supervisor.daemon.look.printed_course import NOTHING_PRINTED, Course, PrintedCourse, StepPace
from supervisor.daemon.look.printed_log import PrintedLog
from supervisor.daemon.look.progress import LogReading, LogStep, ProgressReader
from supervisor.daemon.look.rank_presence import RankPresence
from supervisor.worker.page import Page

_RATE_WINDOW_S = 30.0


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at an attempt; ages in seconds, None for what is absent."""

    observed: Observed
    pages: tuple[Page, ...]
    lines: tuple[str, ...]
    epoch: int | None
    loss: float | None
    step_rate: float | None
    heartbeat_age_s: float | None
    last_save_s: float | None
    world_size: int | None
    grad_norm: float | None = None
    beat_step: int | None = None
    """The highest step of all beats. (`observed.step` is of the slowest rank, which may change.)"""
    printed: tuple[LogStep, ...] = ()
    """Steps in the lines."""
    total: int | None = None
    """How many steps there are, if `watch.progress` or a bar beside the known steps says so."""
    pace: float | None = None
    """Steps a second over the last five minutes."""
    course: Course = NOTHING_PRINTED
    """What the usual progress bars print. Nothing may be decided by it."""
    description: TrainerDescription | None = None
    """What the trainer says of itself."""
    beat_training: tuple[str | None, int] | None = None
    """The training that `beat_step` is of, by directory and ordinal; None if it named none."""


class Observer:
    """Looks at one attempt; made anew for each."""

    def __init__(
        self,
        attempt: int,
        heartbeat_dir: Path,
        printed: PrintedLog,
        *,
        progress: ProgressReader | None,
        now: float,
        presence: RankPresence | None = None,
    ) -> None:
        self.presence = RankPresence() if presence is None else presence
        self.attempt = attempt
        self.heartbeat_dir = heartbeat_dir
        self._pages = PageSet(heartbeat_dir)
        self._description = DescriptionFile(heartbeat_dir, attempt)
        self._tail = LogTail(printed.train_log, offset=printed.offset, where=printed.where)
        self._progress = progress
        self._step: int | None = None
        self._total = KnownTotal()
        self._shown_total = ShownTotal()
        self._course = PrintedCourse()
        self._pace = StepPace()
        self._read = LogReading()
        self._ended_at: float | None = None
        self._log_grew_at = now
        self._beat: tuple[int, int] | None = None
        self._rate: deque[tuple[float, int]] = deque()

    @property
    def vanished(self) -> bool:
        """Whether the heartbeat directory was taken away under the attempt."""
        return self._pages.is_vanished

    @property
    def unended_line(self) -> str:
        """The log's last line so far, where its end is missing."""
        return self._tail.partial()

    @property
    def log_age_since(self) -> float:
        """When the log last grew, monotonic seconds."""
        return self._log_grew_at

    def look(self, now: float, *, stood_still: bool | None = None) -> Observation:
        """Look once. Constant cost, whatever the trainer prints."""
        chunk = self._tail.poll()
        if chunk.grew:
            self._log_grew_at = now
        printed: tuple[LogStep, ...] = ()
        if self._progress is not None and chunk.lines:
            printed = self._note_reading(self._progress.feed(chunk.lines))
            self._step = printed[-1].step if printed else self._step
        before, pages, said = self._description.look(), self._pages.read(), self._description.look()
        training = _training(said)
        there = self.presence.look(pages, now)
        working = [page for page in there if page.outcome is None]
        slowest = min(working, key=_last_sign_ns, default=None)
        steps = [page.step for page in pages if page.step is not None]
        if steps:
            self._step = max(steps) if slowest is None or slowest.step is None else slowest.step
        self._note_rate(now)
        self._pace.note(now, self._step)
        course = self._course.look(chunk.lines, self._tail.partial(), now)
        bar_total = self._shown_total.look(course, self._step)
        read = self._read
        shown = slowest or (pages[0] if pages else None)
        age = None if slowest is None else max(now - _last_sign_ns(slowest) / 1e9, 0.0)
        observed = Observed(
            attempt=self.attempt,
            attached=bool(working),
            beating=any(page.beats > 0 for page in pages),
            phase=shown.phase if shown else Phase.STARTUP,
            beat_age_s=age or 0.0,
            gap_s=self._gap_s(shown),
            finished_phases=_longest(shown),
            step=self._step,
            first_step_at=_first_step_at(pages),
            log_age_s=max(now - self._log_grew_at, 0.0),
            ended_age_s=self._ended_age_s(pages, there, now),
            stood_still=stood_still,
            is_at_total=self._total.is_reached(chunk.lines, self._tail.partial(), self._step)
            or is_at_last_step(said, self._step),
        )
        saves = [page.last_save_ms for page in pages if page.last_save_ms is not None]
        return Observation(
            observed=observed,
            pages=tuple(pages),
            lines=chunk.lines,
            epoch=shown.epoch if shown and steps else read.epoch,
            loss=shown.loss if shown and shown.loss is not None else read.loss,
            step_rate=self._step_rate(),
            heartbeat_age_s=age,
            last_save_s=max(saves) / 1000 if saves else None,
            world_size=shown.world_size if shown else None,
            grad_norm=shown.grad_norm if shown else None,
            # While the next training begins, it is not known which of the two a beat is of.
            beat_step=max(steps, default=None) if _training(before) == training else None,
            printed=printed,
            total=bar_total if read.total is None else read.total,
            pace=self._pace.rate(),
            course=course,
            description=said,
            beat_training=None if training is None else training[:2],
        )

    def _note_reading(self, read: LogReading) -> tuple[LogStep, ...]:
        """Keep the newest loss, total and epoch of the log; return its steps."""
        before = self._read
        self._read = LogReading(
            (),
            before.loss if read.loss is None else read.loss,
            before.total if read.total is None else read.total,
            before.epoch if read.epoch is None else read.epoch,
        )
        return read.steps

    def _gap_s(self, page: Page | None) -> float | None:
        if page is None or page.beat_monotonic_ns is None:
            return None
        before, self._beat = self._beat, (page.beats, page.beat_monotonic_ns)
        if before is None or page.beats <= before[0]:
            return None
        # An evaluation or a save in between is no part of the step; of several beats the average.
        begun = max(before[1], min(page.phase_since_monotonic_ns, page.beat_monotonic_ns))
        return (page.beat_monotonic_ns - begun) / 1e9 / (page.beats - before[0])

    def _ended_age_s(self, pages: list[Page], there: list[Page], now: float) -> float | None:
        # With no rank alive, no rank lingers: a main process that goes on works after training.
        if not there or any(page.outcome is None for page in pages):
            self._ended_at = None
            return None
        self._ended_at = now if self._ended_at is None else self._ended_at
        return now - self._ended_at

    def _note_rate(self, now: float) -> None:
        if self._step is None:
            return
        if self._rate and self._step < self._rate[-1][1]:
            self._rate.clear()
        self._rate.append((now, self._step))
        while now - self._rate[0][0] > _RATE_WINDOW_S:
            self._rate.popleft()

    def _step_rate(self) -> float | None:
        if len(self._rate) < 2:
            return None
        (begin, first), (end, last) = self._rate[0], self._rate[-1]
        return (last - first) / (end - begin) if end > begin else None

    def close(self) -> None:
        """Close what was opened for looking."""
        self._pages.close()
        self._tail.close()


def _training(said: TrainerDescription | None) -> tuple[str | None, int, int] | None:
    """The training that the process is in: directory, ordinal, and its number in the process."""
    training = None if said is None else said.training
    return None if training is None else (*training.identity, training.began)


def _first_step_at(pages: list[Page]) -> float | None:
    """When all ranks had done a step, monotonic seconds."""
    known = [page.first_step_monotonic_ns for page in pages]
    return max(ns for ns in known if ns) / 1e9 if known and all(known) else None


def _last_sign_ns(page: Page) -> int:
    return max(page.beat_monotonic_ns or 0, page.phase_since_monotonic_ns)


def _longest(page: Page | None) -> tuple[tuple[Phase, float], ...]:
    if page is None:
        return ()
    seen = {
        Phase.SAVE: page.longest_save_ms,
        Phase.EVAL: page.longest_eval_ms,
        Phase.COMPILE: page.longest_compile_ms,
    }
    return tuple((phase, ms / 1000) for phase, ms in seen.items() if ms is not None)

"""Whether the processes that a main process left, with exit code 0, are what trains.

Signs: a page that beats, steps in train.log, a new checkpoint, memory of a GPU. Being alive is no
sign. It only looks.
"""

import os
from dataclasses import replace
from pathlib import Path

from supervisor.checkpoint.own_record import read_own_record
from supervisor.core.left_behind_events import LeftSeen, MainEnded
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.look.counters import Counters, CounterSample, stood_still
from supervisor.daemon.look.endings import SeenEnd
from supervisor.daemon.look.gpu_use import GpuUse
from supervisor.daemon.run import Run
from supervisor.diagnosis.line_prefix import split_prefix
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.step_line import StepMark, read_step
from supervisor.launcher import process_tree
from supervisor.launcher.messages import ExitedReport, MainExitedReport
from supervisor.system.clock import monotonic_s, wall_s
from supervisor.system.procfs import Process

# A look at all processes costs milliseconds: once training is known, looks come less often.
LOOK_S, LATER_LOOK_S = 1.0, 6.0
_QUIET_S, _GPU_S = 300.0, 10.0
# A look may bring a mebibyte of short lines; the newest ones tell whether steps go on.
_LINES_MAX = 2000
# Services of loggers, agents and shells: they outlive a training, and none of them trains.
_SERVICES = frozenset(
    {
        "wandb-core", "wandb-service", "gpu_stats", "wandb-xpu", "tensorboard", "ssh-agent",
        "gpg-agent", "dbus-daemon", "raylet", "gcs_server", "log_monitor.py", "redis-server",
        "plasma_store", "jupyter-lab", "jupyter-notebook", "code-server",
        "nvidia-smi", "nvidia-cuda-mps-control", "nvidia-cuda-mps-server", "dcgmi", "gpustat",
        "nvitop", "htop", "top", "iostat", "vmstat", "sleep", "tail", "tee", "cat",
    }
)  # fmt: skip


class LeftBehind:
    """The processes that one main process left, from its end until the attempt's end."""

    def __init__(self, run: Run, attempt: RunningAttempt, report: MainExitedReport) -> None:
        self.number = attempt.number
        self._run = run
        self._attempt = attempt
        self._at = report.monotonic
        self._due = 0.0
        self._sign_at = monotonic_s()
        self._sample: CounterSample | None = None
        self._gpu: GpuUse | None = None
        self._gpu_due = 0.0
        self._mark: StepMark | None = None
        self._has_stepped = self.trains = False
        self._trainers: set[int] = set()
        self._suspects: set[int] = set()
        self._members = self._named = self._find()
        self._pages = self._page_marks()
        self._trained_before = run.history.left_training == self.number
        if self._trained_before:
            # The daemon that saw it has died; what beats is the same as then.
            self._trainers |= {pid for pid, beats, _ in self._pages.values() if beats > 0}
        self._listing = frozenset(run.surveyor.listing())
        look = attempt.look
        self._step = None if look is None else look.observed.step

    def begun(self) -> MainEnded:
        """The first event for the core."""
        settled = self._are_idle() or self._are_ranks_done() or self._is_complete()
        return MainEnded(self.number, self._at, self.names(), settled, self._trained_before)

    def _are_idle(self) -> bool:
        return bool(self._members) and all(_is_service(process) for process in self._members)

    def _are_ranks_done(self) -> bool:
        """Whether there were ranks, and each said how it ends, or has beaten and is gone.

        A rank that never beat may have attached only to start the process that trains.
        """
        pages = () if self._attempt.look is None else self._attempt.look.pages
        unsaid = [page for page in pages if page.outcome is None]
        have_beaten = all(page.beats > 0 for page in unsaid)
        return bool(pages) and have_beaten and len(self._attempt.ranks_gone(pages)) == len(unsaid)

    def _is_complete(self) -> bool:
        """Whether training is complete, by finish file, finish step or the trainer's record."""
        finish = self._run.config.finish
        if finish.file is not None and Path(finish.file).exists():
            return True
        if finish.step is not None and self._step is not None and self._step >= finish.step:
            return True
        since = wall_s() - (monotonic_s() - self._attempt.started_at)
        record = read_own_record(self._run.surveyor.directory, since)
        return record is not None and record.step >= record.total

    def names(self) -> tuple[str, ...]:
        """The processes of the last look that found any, each with its pid."""
        return tuple(f"{process.comm} ({process.pid})" for process in self._named)

    def note_lines(self) -> None:
        """Read steps from the lines of the attempt's last look; called once for each look."""
        look = self._attempt.look
        if look is None:
            return
        if look.observed.step != self._step:
            self._step, self._has_stepped = look.observed.step, True
        if self._run.config.watch.progress is not None:
            return
        newest: StepMark | None = None
        # From the newest on: two different steps are enough, however many lines were printed.
        for line in reversed(look.lines[-_LINES_MAX:]):
            mark = read_step(split_prefix(clean(line)).body)
            if mark is None:
                continue
            newest = newest or mark
            # The first step may still be the main process's: only a different one counts.
            if mark != (self._mark or newest):
                self._has_stepped = True
                break
        self._mark = newest or self._mark

    def look(self, now: float, *, is_in_memory: bool) -> LeftSeen | None:
        """Look if it is time; returns what was seen, None between the looks.

        `is_in_memory`: memory holds a snapshot. The persister may be writing it, so a new
        checkpoint on the disk is no sign then.
        """
        if now < self._due:
            return None
        self._members = self._find()
        self._named = self._members or self._named
        saves = self._saves()
        sign = self._beats() or self._steps() or (None if is_in_memory else saves)
        sign = sign or self._computes(now)
        self._sign_at = now if sign is not None else self._sign_at
        self.trains = self.trains or sign is not None
        self._due = now + (LATER_LOOK_S if self.trains else LOOK_S)
        if sign is not None:
            self._follow()
        still = self._stood_still(now)
        return LeftSeen(self.number, sign, self.names(), self._are_idle(), still)

    def _find(self) -> list[Process]:
        found = process_tree.find(self._run.run_id, self.number, spare={os.getpid()})
        self._suspects |= {process.pid for process in found if not _is_service(process)}
        return found

    def _page_marks(self) -> dict[int, tuple[int, int, int]]:
        look = self._attempt.look
        pages = () if look is None else look.pages
        return {
            page.local_rank: (page.pid, page.beats, page.phase_since_monotonic_ns)
            for page in pages
            if page.outcome is None
        }

    def _beats(self) -> str | None:
        before, self._pages = self._pages, self._page_marks()
        changed = [rank for rank, mark in self._pages.items() if before.get(rank) != mark]
        self._trainers |= {self._pages[rank][0] for rank in changed}
        return f"rank {changed[0]} beats" if changed else None

    def _steps(self) -> str | None:
        stepped, self._has_stepped = self._has_stepped, False
        if not stepped:
            return None
        return "steps in train.log" if self._step is None else f"step {self._step} in train.log"

    def _saves(self) -> str | None:
        before, self._listing = self._listing, frozenset(self._run.surveyor.listing())
        new = self._listing - before
        return f"a new checkpoint, {max(new, key=lambda one: one[1])[0]}" if new else None

    def _computes(self, now: float) -> str | None:
        """The sign that GPUs give: memory held, and once training is known, only work."""
        if self._gpu is None:
            if now >= self._gpu_due and self._members:
                self._gpu_due = now + _GPU_S
                pids = [process.pid for process in self._members]
                self._gpu = GpuUse(pids, memory=not self.trains)
            return None
        if not self._gpu.poll():
            return None
        asked, self._gpu = self._gpu, None
        if not asked.is_answered or not asked.busy:
            return None
        return f"{'it computes on' if self.trains else 'it holds memory of'} {asked.busy[0].name}"

    def _stood_still(self, now: float) -> bool | None:
        """Whether nothing moved since the last look; measured only after 300 s without a sign."""
        if not self.trains or now - self._sign_at < _QUIET_S or not self._members:
            self._sample = None
            return None
        before = self._sample
        self._sample = Counters([process.pid for process in self._members]).sample()
        return None if before is None else stood_still(before, self._sample)

    def _follow(self) -> None:
        """From now on, have stacks and counters taken of a process that trains."""
        ranks = [p for p in self._members if p.pid in self._trainers]
        others = [p for p in self._members if not _is_service(p)]
        chosen = next(iter(ranks or others), None)
        if chosen is not None and self._attempt.pid != chosen.pid:
            self._attempt.follow(chosen.pid, chosen.start_ticks)

    def suspects(self) -> frozenset[int]:
        """All processes that were seen and are no known service, by pid."""
        return frozenset(self._suspects)

    def trainers(self) -> frozenset[int]:
        """The processes that were seen to train, by pid."""
        pid = self._attempt.pid
        return frozenset(self._trainers if pid is None else {pid, *self._trainers})


def as_its_end(report: ExitedReport, trainers: frozenset[int], *, trained: bool) -> SeenEnd:
    """An attempt's end, judged by the processes that trained in the main process's place.

    The launcher sees the exit of orphans (`left_ended`). `trained`: some processes were seen to
    train, and `trainers` holds those that this daemon knows. Else `trainers` holds suspects, and
    only a single process that failed counts: a training that died as it began.
    """
    end, ended = SeenEnd.of(report), report.left_ended
    failed = [one for one in ended if one.code != 0]
    if not trained:
        is_one = len(ended) == 1 and bool(failed) and failed[0].pid in trainers
        return replace(end, code=failed[0].code, signal=failed[0].signal) if is_one else end
    # A daemon that has just taken over knows no trainers: then every orphan counts.
    followed = [one for one in ended if one.pid in trainers] or list(ended)
    if not followed:
        return replace(end, is_unseen=True)
    one = next((one for one in followed if one in failed), followed[0])
    return replace(end, code=one.code, signal=one.signal)


def _is_service(process: Process) -> bool:
    """Whether its name, or that of its script or module, is in the list. Arguments do not count."""
    try:
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            words = os.fsdecode(file.read(4096)).split("\0")
    except OSError:
        words = []
    program = os.path.basename(words[0]) if words else ""  # noqa: PTH119
    names = {process.comm, program}
    if program.startswith("python"):
        script = next((word for word in words[1:] if not word.startswith("-")), "")
        names |= {os.path.basename(script), script.partition(".")[0]}  # noqa: PTH119
    return bool(names & _SERVICES)

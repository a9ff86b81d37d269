"""A training process as a rank of a run: where to resume from, the heartbeat, and when to stop.

Stdlib only, and harmless outside a supervisor. It must never fail a training run by itself.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from .contract import EXIT_CONFIGURATION, EXIT_PREEMPTED, Phase
from .description import Description
from .environment import number_of, path_of, ranks_here, seconds_of
from .heartbeat import Beat, PageWriter
from .imports.first_beat import record_imports
from .leaving import leave_preempted
from .orderly_end import at_orderly_end
from .page_layout import RANK_PREFIX
from .page_repair import PageRepair
from .processes import own_start_ticks
from .stop_barrier import StopBarrier
from .stop_signals import LauncherWatch, StopSignals


class Worker:
    """A training process as a rank of a supervised run; made by `attach`."""

    __slots__ = (
        "_agreement", "_checkpoint_dir", "_is_adapters", "_is_stopping", "_launcher", "_page",
        "_placement", "_resume_from", "_signals", "_warn", "attempt", "beat", "description",
        "grace_s", "has_read_resume_from", "has_read_should_stop", "run_id", "snapshot_dir",
    )  # fmt: skip

    beat: Beat
    """`beat(step=…, epoch=…, loss=…, grad_norm=…)` after each step: 0.3 µs, no system call."""
    run_id: str | None
    attempt: int | None
    grace_s: float | None
    """Seconds between a stop signal and SIGKILL."""
    snapshot_dir: Path | None
    description: Description
    has_read_resume_from: bool
    """Whether the script has asked where to resume: adapters leave that to it then."""
    has_read_should_stop: bool
    """Whether the script looks for stops itself: adapters leave them to it then."""

    def __init__(
        self,
        directory: Path | None,
        handled: tuple[signal.Signals, ...],
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """`tell` takes what would otherwise be a warning: an adapter attached, not the script."""
        self._is_adapters = tell is not None
        self._warn: Callable[[str], None] = tell or _warn
        self.run_id = os.environ.get("SUPERVISOR_RUN_ID") or None
        self.attempt = number_of("SUPERVISOR_ATTEMPT")
        self.grace_s = seconds_of("SUPERVISOR_GRACE_S")
        self._resume_from = path_of("SUPERVISOR_RESUME_FROM")
        self.has_read_resume_from = self.has_read_should_stop = False
        self._checkpoint_dir = path_of("SUPERVISOR_CHECKPOINT_DIR")
        self.snapshot_dir = path_of("SUPERVISOR_SNAPSHOT_DIR")
        self._is_stopping = False
        self._page, self._placement = self._open_page(directory)
        self._agreement = self._open_agreement(directory)
        is_watched = self._page.is_shared or self._page.is_bystander
        self._launcher = LauncherWatch(
            os.environ.get("SUPERVISOR_LAUNCHER") if is_watched else None
        )
        self.beat = self._page.beat
        if self._page.is_shared and self._launcher.is_parent:
            self._page.at_first_beat = lambda: record_imports(self._warn)
        shown = directory if self._page.is_shared else None
        local_rank = number_of("LOCAL_RANK", "SLURM_LOCALID") or 0
        self.description = Description(shown, local_rank, self.attempt)
        self._signals = StopSignals(self._page.show_stop_seen, handled)

    def _open_page(self, directory: Path | None) -> tuple[PageWriter, PageRepair]:
        if directory is None:
            return _nowhere()
        local_rank = number_of("LOCAL_RANK", "SLURM_LOCALID") or 0
        try:
            page = PageWriter(
                directory / f"{RANK_PREFIX}{local_rank}",
                start_ticks=own_start_ticks() or 0,
                rank=number_of("RANK", "SLURM_PROCID") or 0,
                world_size=number_of("WORLD_SIZE", "SLURM_STEP_NUM_TASKS") or 1,
                local_rank=local_rank,
                attempt=self.attempt or 0,
            )
            return page, PageRepair(page, directory / f"stacks-{local_rank}.txt")
        except OSError as error:
            self._warn(
                f"no heartbeat page in {directory} ({error}): the supervisor will not see hangs"
            )
            return _nowhere()

    def _open_agreement(self, directory: Path | None) -> StopBarrier | None:
        if directory is None or not self._page.is_shared or ranks_here() <= 1:
            return None
        # torchrun starts its ranks again within one attempt: that is a new round.
        again = number_of("TORCHELASTIC_RESTART_COUNT") or 0
        try:
            round_name = f"{self.attempt or 0}-{again}"
            local_rank = number_of("LOCAL_RANK", "SLURM_LOCALID") or 0
            return StopBarrier(directory, self.attempt or 0, round_name, local_rank)
        except OSError as error:
            self._warn(
                f"no page for the ranks' agreement in {directory} ({error}): each rank stops by"
                " itself"
            )
            return None

    @property
    def resume_from(self) -> Path | None:
        """The checkpoint to go on from; None means a fresh start."""
        self.has_read_resume_from = True
        return self._resume_from

    @property
    def checkpoint_dir(self) -> Path | None:
        """Where the supervisor looks for checkpoints; None without one. Reading this makes it.

        The supervisor does not make the directory: some trainers choose another directory if theirs
        exists already. Raises OSError if the directory cannot be made.
        """
        if self._checkpoint_dir is not None:
            self._checkpoint_dir.mkdir(parents=True, exist_ok=True)
        return self._checkpoint_dir

    @property
    def attached(self) -> bool:
        """Whether a supervisor can see the heartbeat."""
        return self._page.is_shared

    @property
    def is_bystander(self) -> bool:
        """Whether another process is this rank, so that beats and outcomes here have no effect.

        A bystander is a helper, such as an evaluation script that the trainer starts. `attached` is
        false then. `should_stop` turns true at a stop all the same.
        """
        return self._page.is_bystander

    @property
    def is_supervised(self) -> bool:
        """Whether a supervisor keeps the run: it chooses, prunes and sets aside checkpoints."""
        return self.attached or self.is_bystander

    @property
    def should_stop(self) -> bool:
        """Whether to save and leave now. Read it at step boundaries; once true it stays true.

        True after SIGTERM, SIGUSR1 or `request_stop`, when the launcher asks for a stop in the
        page, and when the launcher is gone. With several ranks on a node it turns true for all at
        one agreed step, a little after the first rank was asked.
        """
        self.has_read_should_stop = True
        return self.look_for_stop()

    def look_for_stop(self) -> bool:
        """The same for an adapter, which asks in place of the script."""
        self._placement.look()
        if not self._is_stopping:
            asked = self.is_asked
            # A bystander has no steps that could be agreed on.
            if self._agreement is None or self._page.is_bystander:
                self._is_stopping = asked
            else:
                self._is_stopping = self._agreement.is_reached(self._page.step, asked=asked)
            if self._is_stopping:
                self._page.show_stop_seen()
        return self._is_stopping

    @property
    def is_asked(self) -> bool:
        """Whether this rank was asked to stop, whatever the ranks agree on."""
        told = self._page.is_stop_asked or self._signals.asked or self._page.is_owner_asked
        return told or self._launcher.look()

    def look_for_stop_inside(self, place: int, *, proposes: bool) -> bool:
        """The same between two steps, at the `place`-th boundary after the last beaten one.

        Boundaries are those that no rank passes alone, such as the batches of an evaluation. With
        `proposes`, this rank, which was asked, wants to leave before the next step.
        """
        if self._agreement is None or self._page.is_bystander:
            return proposes
        return self._agreement.is_reached_inside(self._page.step, place, proposes=proposes)

    def request_stop(self) -> None:
        """Ask for a stop from inside, as a signal would."""
        self._signals.asked = True
        self._page.show_stop_seen()

    @contextmanager
    def phase(self, name: str | Phase) -> Iterator[None]:
        """Report the phase (eval, save, compile …); afterwards the outer phase is back.

        Raises ValueError for a name that is no phase. A phase that raises does not count as done.
        """
        try:
            phase = name if isinstance(name, Phase) else Phase[name.upper()]
        except KeyError:
            known = ", ".join(phase.word for phase in Phase)
            raise ValueError(f"no phase {name!r}; there are {known}") from None
        self._placement.look()
        outer = self._page.phase
        since_ns = self._page.enter(phase)
        completed = False
        try:
            yield
            completed = True
        finally:
            self._page.leave(phase, outer, since_ns, completed=completed)

    def exit_preempted(
        self, checkpoint: str | os.PathLike[str] | None = None, step: int | None = None
    ) -> NoReturn:
        """Leave with 75: stopped on request, state saved to `checkpoint` at `step` (the last)."""
        self._end(EXIT_PREEMPTED, checkpoint, step)
        leave_preempted()

    def exit_configuration(self, message: str) -> NoReturn:
        """Leave with 78: a person has to correct what is wrong, and nothing is relaunched."""
        print(message, file=sys.stderr, flush=True)
        self._end(EXIT_CONFIGURATION, None, None)
        raise SystemExit(EXIT_CONFIGURATION)

    def finish(
        self, checkpoint: str | os.PathLike[str] | None = None, step: int | None = None
    ) -> None:
        """Record that training is finished; returns, for the script to end normally (exit 0)."""
        self._end(0, checkpoint, step)

    def describe(
        self,
        total_steps: int | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        best: str | os.PathLike[str] | None = None,
        framework: str | None = None,
    ) -> None:
        """Tell the supervisor of this training; None leaves what was said before.

        `total_steps` gives per cent and time left. In `checkpoint_dir` it looks for checkpoints,
        too. It never deletes `best`. A helper's words have no effect. Never raises for a full disk.
        """
        facts = {
            "total_steps": total_steps,
            "checkpoint_dir": None if checkpoint_dir is None else os.path.abspath(checkpoint_dir),
            "best": None if best is None else os.path.abspath(best),
            "framework": framework,
        }
        self.description.merge(**{key: value for key, value in facts.items() if value is not None})

    def _end(self, code: int, checkpoint: str | os.PathLike[str] | None, step: int | None) -> None:
        if step is None and self._page.step >= 0:
            step = self._page.step
        path = None if checkpoint is None else os.path.abspath(os.fspath(checkpoint))
        self._page.write_outcome(code, step, path)

    @property
    def handles_stops(self) -> bool:
        """Whether SIGTERM sets this object's flag, or nothing but the page asks for a stop."""
        return self._signals.is_told_of(signal.SIGTERM)

    def be_the_scripts(self, handled: tuple[signal.Signals, ...]) -> None:
        """After an adapter, the script attaches: take these signals, as it asks for."""
        if self._is_adapters:
            self._is_adapters = False
            self._warn = _warn
            self._signals.take(handled)

    def _tell_its_end(self) -> None:
        self._page.show_end(in_order=False)
        at_orderly_end(lambda: self._page.show_end(in_order=True))

    def _become_bystander(self) -> None:
        """In a forked child (a data-loader worker): let go of the trainer's page and signals."""
        self._page.detach()
        self._signals.let_go()
        self._launcher = LauncherWatch(None)
        self._agreement = None
        self._is_stopping = False


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=6)


def _nowhere() -> tuple[PageWriter, PageRepair]:
    """A page in private memory, which no other process sees."""
    page = PageWriter(None)
    return page, PageRepair(page, None)

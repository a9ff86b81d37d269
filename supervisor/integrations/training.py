"""One training of this process, as an adapter tells it to the supervisor; no library's own words.

Nothing here raises into the training, but `stop`, which ends it, and `resume_path` on a rank that
cannot learn from where the others go on. Without a supervisor, in a helper process, or where the
configuration does not want the adapter, all of it does nothing.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager

from ..worker.contract import EXIT_PREEMPTED
from ..worker.environment import number_of
from . import hook
from .attachment import attached, description_of, give_signals_back, take_signals
from .ranks import RankMeeting, is_rank_without_page, meet, world_size
from .record import TrainingName, WriterRecord
from .renewed_place import first_directory
from .resume_choice import ResumeChoice
from .stop_looks import StopLooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from ..worker.description import Description
    from ..worker.rank import Worker

# This module under its private name and its own: the process counts its trainings once.
_NAMES = ("_train_supervisor.integrations.training", "supervisor.integrations.training")


class ProcessTrainings:
    """What the trainings of one process share: how many began where, and the phases entered."""

    def __init__(self) -> None:
        self.began = 0
        self.ordinals: dict[str | None, int] = {}
        self.phases: list[tuple[AbstractContextManager[None], int]] = []
        self.is_final = False
        self.description: Description | None = None
        self.met = 0
        self.ranks = RankMeeting()
        self.pid = os.getpid()

    def count(self, directory: str | None) -> int:
        """Count one more training with this directory; return its ordinal."""
        self.began += 1
        self.ordinals[directory] = self.ordinals.get(directory, 0) + 1
        return self.ordinals[directory]


def _of_process() -> ProcessTrainings:
    for name in _NAMES:
        known = getattr(sys.modules.get(name), "_PROCESS", None)
        if known is not None:
            return known  # type: ignore[no-any-return]
    return ProcessTrainings()


_PROCESS = _of_process()


class Training(StopLooks, ResumeChoice):
    """One training: where its checkpoints lie, how far it is, and when it has to stop."""

    def __init__(
        self,
        framework: str,
        version: str,
        directory: str | os.PathLike[str] | None,
        total_steps: int | None,
        *,
        is_place: bool = True,
    ) -> None:
        """Attach the process if it is not attached, and say what begins. Never raises.

        `framework` is an adapter's name. `directory` is where this training saves; each attempt
        must name the same. `is_place` False: its checkpoints lie somewhere below, where is said
        later by `describe(checkpoint_dir=…)`.
        """
        self._worker: Worker | None = None
        self._last = -1
        self._ranks = RankMeeting()
        self._is_ended = self._is_stopping = False
        self.is_supervised = False
        try:
            if hook.is_wanted(framework):
                self._begin(framework, version, directory, total_steps, is_place)
                self._give_signals_back_unless_heeded()
        except Exception as error:
            self.is_supervised = False
            hook.tell(f"the adapter for {framework} is off: {type(error).__name__}: {error}")
            self.take_no_stops()

    def _begin(
        self,
        framework: str,
        version: str,
        directory: str | os.PathLike[str] | None,
        total_steps: int | None,
        is_place: bool,
    ) -> None:
        where = None if directory is None else os.path.realpath(os.fspath(directory))
        self._place = where or ""
        self.name = TrainingName(self._place, _PROCESS.count(where))
        self._number = _PROCESS.began
        self._worker = attached(hook.tell)
        if self._worker is None:
            return
        take_signals(self._worker, hook.tell)
        has_page = self._worker.attached
        self.is_supervised = has_page or is_rank_without_page(self._worker)
        if not self.is_supervised:
            return
        self._is_off = not has_page
        taken = getattr(getattr(self._worker.beat, "__code__", None), "co_varnames", ())
        self._takes_grad_norm = "grad_norm" in taken  # not by a worker of an earlier version
        self._meet_ranks(has_page)
        self._leave_all()
        self._description = description_of(self._worker, _PROCESS.description)
        _PROCESS.description = self._description
        self._attempt = number_of("SUPERVISOR_ATTEMPT") or 1
        self._is_rank_0 = (number_of("RANK", "SLURM_PROCID") or 0) == 0
        self._record = WriterRecord(os.environ.get("SUPERVISOR_RUN_DIR"), self._attempt)
        self._go_by_first_directory(total_steps)
        self._description.merge(
            framework=f"{framework} {version}",
            checkpoint_dir=where if is_place and self._saves_on_this_node else None,
            total_steps=total_steps,
            resumed_from=None,
            training=self._told_of(),
        )
        hook.listen(self._description.tell)
        theirs = sys.modules.get("_train_supervisor.integrations.hook")
        if theirs is not None:  # an adapter that the script itself has imported is another module
            theirs.listen(self._description.tell)
        if self._is_rank_0 and where is not None:
            self._note(lambda: self._record.began(self.name, where, total_steps))

    def _go_by_first_directory(self, total_steps: int | None) -> None:
        """Where the directory is named by the time, go by the one of the first attempt."""
        if not self._place or self._attempt == 1 or self._number > 1 or world_size() > 1:
            return
        first = first_directory(self._place, self._attempt, self._record.begun(), total_steps)
        if first is not None:
            self.name = self.name._replace(directory=first)

    def _meet_ranks(self, has_page: bool) -> None:
        """Join the other ranks, as the next training of this process that has several."""
        before = getattr(_PROCESS, "ranks", None)  # another version's has none
        if before is not None and before.agreement is not None:
            before.agreement.close()
        if world_size() > 1:
            _PROCESS.met = getattr(_PROCESS, "met", 0) + 1
            self._ranks = meet(_PROCESS.met, has_page=has_page, takes=self.may_stop)
        _PROCESS.ranks = self._ranks
        self._agreement = self._ranks.agreement

    def beat(
        self,
        step: int,
        epoch: float | None = None,
        loss: float | None = None,
        grad_norm: float | None = None,
    ) -> None:
        """Tell that an optimizer step is done. Values of the host alone, never of a device."""
        worker = self._worker
        if worker is None or not self.is_supervised:
            return
        self._last = step
        if _PROCESS.phases and step > _PROCESS.phases[0][1] >= 0:
            self._leave_all()  # an evaluation that failed was never left
        try:
            at = step, None if epoch is None else int(epoch), loss
            if grad_norm is None or not self._takes_grad_norm:
                worker.beat(*at)
            else:
                worker.beat(*at, grad_norm)
        except Exception as error:
            self.tell(f"step {step} cannot be told: {type(error).__name__}: {error}")

    def enter(self, phase: str) -> None:
        """Tell that a phase begins: eval, save, compile, final. Phases nest."""
        if self._worker is None or not self.is_supervised:
            return
        try:
            entered = self._worker.phase(phase)
            entered.__enter__()
            _PROCESS.phases.append((entered, self._last))
        except Exception as error:
            self.tell(f"the phase {phase} cannot be told: {type(error).__name__}: {error}")

    def leave(self) -> None:
        """Tell that the phase entered last is done; without one it does nothing."""
        if self.is_supervised and _PROCESS.phases:
            entered, _ = _PROCESS.phases.pop()
            try:
                entered.__exit__(None, None, None)
            except Exception as error:
                self.tell(f"the end of a phase cannot be told: {type(error).__name__}: {error}")

    def _leave_all(self) -> None:
        """Leave phases of which the end was never told; they do not count as done."""
        while _PROCESS.phases:
            entered, _ = _PROCESS.phases.pop()
            generator = getattr(entered, "gen", None)
            if generator is not None:
                generator.close()

    def describe(self, **facts: Any) -> None:
        """Say `total_steps`, `best` (a path), `notes` (a sentence or several)."""
        if not self.is_supervised:
            return
        for note in _sentences(facts.pop("notes", None)):
            self.tell(note)
        if not self._saves_on_this_node:
            facts = {name: facts[name] for name in facts if name not in ("best", "checkpoint_dir")}
        for key in ("best", "checkpoint_dir", "resumed_from"):
            if facts.get(key) is not None:
                facts[key] = os.path.abspath(os.fspath(facts[key]))
        if facts:
            self._description.merge(**facts)

    @property
    def _saves_on_this_node(self) -> bool:
        """False on a node without rank 0: its supervisor must not prune the other node's saves."""
        return self._is_rank_0 or not self._ranks.spans_nodes

    def tell(self, sentence: str) -> None:
        """Tell the user something, once."""
        if self.is_supervised:
            self._description.tell(sentence)

    def saved(self, path: str | os.PathLike[str], step: int) -> None:
        """Tell that a checkpoint is complete on disk: it belongs to this training."""
        if not self.is_supervised:
            return
        self._last = max(self._last, step)
        self._description.merge(training=self._told_of())
        if self._is_rank_0:
            self._note(lambda: self._record.saved(self.name, os.fspath(path), step))

    def stop(self, path: str | os.PathLike[str] | None, step: int) -> NoReturn:
        """After the save of a stop (`path`; None if nothing was saved): end the process with 75."""
        if self._worker is None or not self.is_supervised:
            raise SystemExit(EXIT_PREEMPTED)
        self._leave_all()
        if self._agreement is not None:
            self._agreement.close()
        self._worker.exit_preempted(path, step)

    def end(self, *, heeds_stops: bool = False) -> None:
        """Tell that this training came to its own end: what follows is the phase `final`.

        `heeds_stops`: the adapter sees to stops after it, too.
        """
        if not self.is_supervised or self._is_ended:
            return
        self._is_ended = True
        self._tell_of_stop_at_end(self._ranks.spans_nodes)
        self._leave_all()
        self.enter("final")
        if not heeds_stops or self._ranks.spans_nodes:
            self._give_signals_back_unless_heeded()
            if self._agreement is not None:
                self._agreement.close()
        self._description.merge(training=self._told_of())
        if self._is_rank_0 and self._place:
            self._note(lambda: self._record.ended(self.name, self._place))

    def _give_signals_back_unless_heeded(self) -> None:
        if self._worker is not None and (self._is_ended or not self.may_stop):
            give_signals_back(self._worker)

    def _told_of(self) -> dict[str, Any]:
        return {
            **self.name._asdict(),
            "began": self._number,
            "ended": self._is_ended,
            "step": self._last if self._last >= 0 else None,
        }

    def _note(self, write: Any) -> None:
        try:
            write()
        except OSError as error:
            self.tell(f"which training wrote a checkpoint is not on record: {error}")


def _sentences(notes: object) -> list[str]:
    if notes is None:
        return []
    return [notes] if isinstance(notes, str) else [str(note) for note in notes]  # type: ignore[attr-defined]

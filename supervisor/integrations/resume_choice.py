"""Where a training resumes: chosen by its rank, and on several nodes by all ranks together."""

from __future__ import annotations

import os

from ..worker.adapters import RESUME_ARGS
from .ranks import RankMeeting
from .resume_agreement import agree
from .resuming import Resumption, choose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..worker.description import Description
    from ..worker.rank import Worker
    from .record import TrainingName, WriterRecord

    WhyNot = Callable[[str], "str | None"]


class ResumeChoice:
    """A training's choice of the checkpoint that it goes on from."""

    is_supervised: bool
    name: TrainingName
    _place: str
    _worker: Worker | None
    _record: WriterRecord
    _attempt: int
    _description: Description
    _ranks: RankMeeting

    def resume_path(
        self, asked: str | os.PathLike[str] | bool | None, why_not: WhyNot | None = None
    ) -> tuple[bool, str | None]:
        """Return (True, path) where the adapter has to resume; (False, None) is as the script says.

        `asked`: what the script says, True for the newest there is. (True, None) means: begin anew.
        `why_not` says what keeps the library from going on from a checkpoint. On several nodes all
        ranks have to call it: they do the same, as rank 0 says. It raises SystemExit if a rank
        cannot learn what the others do.
        """
        if not self.is_supervised:
            return False, None
        found = self._own_choice(asked, why_not)
        if self._ranks.spans_nodes:
            found = self._choice_of_all(found, why_not)
        if found.remark is not None:
            self.tell(found.remark)
        used = found.path if found.inject else asked
        if isinstance(used, (str, os.PathLike)):
            self._description.merge(resumed_from=os.path.abspath(os.fspath(used)))
        return found.inject, found.path

    @property
    def _is_scripts(self) -> bool:
        """Whether the configuration or the script itself says where to resume."""
        has_read = getattr(self._worker, "has_read_resume_from", True)
        return has_read or os.environ.get(RESUME_ARGS) == "1"

    def _own_choice(
        self, asked: str | os.PathLike[str] | bool | None, why_not: WhyNot | None
    ) -> Resumption:
        if self._is_scripts:
            return Resumption(False)
        try:
            chosen = os.environ.get("SUPERVISOR_RESUME_FROM")
            found = choose(asked, chosen, self.name, self._record, self._attempt, self._place)
            obstacle = why_not(found.path) if found.inject and found.path and why_not else None
        except Exception as error:
            obstacle = f"where to resume is left to the script: {type(error).__name__}: {error}"
        return found if obstacle is None else Resumption(False, remark=obstacle)

    def _choice_of_all(self, own: Resumption, why_not: WhyNot | None) -> Resumption:
        store = self._ranks.store
        if store is None or isinstance(store, str):
            why = f"where to resume is left to the script, for the ranks cannot agree: {store}"
            return Resumption(False, remark=why)
        is_scripts = self._is_scripts

        def obstacle(path: str | None) -> str | None:
            if is_scripts:
                return "the configuration or the script says where to resume"
            if path is None:
                return None
            if not os.path.exists(path):
                return f"{path} is not there"
            return why_not(path) if why_not else None

        return agree(store, own, obstacle)

    def is_own(self, checkpoint: str) -> bool:
        """Whether an attempt of this run wrote this checkpoint, as far as that is known."""
        return self.is_supervised and self._record.is_of_this_run(checkpoint)

    def tell(self, sentence: str) -> None:
        """Tell the user something, once."""
        raise NotImplementedError

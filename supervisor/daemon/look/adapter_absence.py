"""Why a trainer that makes steps has no adapter: read once from its processes, for `status`."""

import os
from collections.abc import Sequence
from itertools import islice

from supervisor.daemon.look.observer import Observation
from supervisor.daemon.look.processes import is_python
from supervisor.diagnosis.line_prefix import split_prefix
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.step_line import read_step
from supervisor.launcher import process_tree
from supervisor.system.procfs import mark, read_command, read_environ
from supervisor.system.python_flags import ignores_startup
from supervisor.worker.adapters import INTEGRATE, STARTUP

# A look at the log's lines is worth no more than this: a step line comes again.
_LINES_MAX = 20
_PROCESSES_MAX = 256
NOT_WANTED = "integrate: none"
REPLACED = "PYTHONPATH was replaced"


class AdapterAbsence:
    """One attempt's answer. It looks at processes once, after the first step in the log."""

    def __init__(self, run_id: str, attempt: int) -> None:
        self.why: str | None = None
        """Why there is none; None if there is one, or if nothing is known."""
        self._run_id = run_id
        self._attempt = attempt
        self._is_settled = False

    def note_look(self, look: Observation) -> None:
        """Take in one look at the attempt."""
        said = look.description
        if look.pages or (said is not None and said.is_attached):
            self._is_settled, self.why = True, None
            return
        if said is not None and said.told:
            self._is_settled, self.why = True, said.told[0]
        if not self._is_settled and _shows_step(look):
            self._is_settled = True
            self.why = find_reason(self._run_id, self._attempt)


def find_reason(run_id: str, attempt: int) -> str | None:
    """What the attempt's Python processes tell, the first that tells something."""
    members = process_tree.find(run_id, attempt, spare={os.getpid()})
    programs = (one.pid for one in members if is_python(one.pid))
    told = (_reason_of(read_command(pid), read_environ(pid)) for pid in programs)
    return next((why for why in islice(told, _PROCESSES_MAX) if why is not None), None)


def _reason_of(argv: Sequence[str], environ: bytes | None) -> str | None:
    if not environ:
        return None  # it is ending, or may not be read
    wanted = mark(environ, INTEGRATE)
    if wanted is None:
        return None  # an attempt of a version without adapters, or a cleared environment
    if wanted == "none":
        return NOT_WANTED
    ignoring = ignores_startup(argv)
    if ignoring is not None:
        return ignoring
    path = mark(environ, "PYTHONPATH") or ""
    folders = {os.path.realpath(place) for place in path.split(os.pathsep) if place}
    return None if os.path.realpath(STARTUP) in folders else REPLACED


def _shows_step(look: Observation) -> bool:
    if look.observed.step is not None:
        return True
    newest = look.lines[-_LINES_MAX:]
    return any(read_step(split_prefix(clean(line)).body) is not None for line in newest)

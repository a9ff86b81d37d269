"""Which of the W&B runs that a supervised command begins goes on under the supervisor's run id.

One run of the command, the first, has the id in all attempts. If the same program begins a second
one within an attempt (folds, stages, trials), nobody can say which of them the next attempt goes
on with. From then on each begins with an id of its own, as without a supervisor.
"""

from __future__ import annotations

import json
import os
import sys
import threading

from ..worker.environment import number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RECORD = "wandb.json"
"""In `.supervisor/`: the program whose run has the id, and whether it begins several."""
_CLAIM = "wandb-run"
_MOST_BYTES = 1 << 16
_RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "SLURM_LOCALID")


class RunIdClaim:
    """The claim that one call of `wandb.init` makes to the supervisor's run id."""

    def __init__(self, heartbeat_dir: str, run_dir: str | None) -> None:
        # torchrun starts the ranks of one attempt anew: the same run goes on.
        restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._path = os.path.join(heartbeat_dir, f"{_CLAIM}-{restart}")
        self._record = None if run_dir is None else os.path.join(run_dir, ".supervisor", RECORD)
        self._program = _program()
        self.is_second = False
        """Whether this program has begun a run of this attempt before."""

    def take(self) -> bool:
        """Whether the id is for the run that begins now. Raises OSError."""
        if any((number_of(name) or 0) > 0 for name in _RANKS):
            return False  # each rank has a run of its own, if it has any
        known = self._read()
        if known.get("several") or known.get("program", self._program) != self._program:
            return False
        try:
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            self.is_second = True
            return False
        if not known:
            self._write(several=False)
        return True

    def give_back(self) -> None:
        """No run has begun: the script may try again. Never raises."""
        try:
            os.unlink(self._path)
        except OSError:
            return  # at worst the next run has an id of its own

    def note_several(self) -> None:
        """A second run has begun. Raises OSError."""
        self._write(several=True)

    def _read(self) -> dict[str, Any]:
        """What is on record. One that cannot be read says nothing."""
        if self._record is None:
            return {}
        try:
            with open(self._record, "rb") as file:
                found = json.loads(file.read(_MOST_BYTES))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, *, several: bool) -> None:
        if self._record is None:
            return
        staged = f"{self._record}.tmp-{os.getpid()}-{threading.get_ident()}"
        with open(staged, "w", encoding="ascii") as file:
            os.chmod(staged, 0o600)
            json.dump({"program": self._program, "several": several}, file)
        # No fsync: `wandb.init` waits here, and a record that a power cut empties says nothing.
        os.replace(staged, self._record)


def _program() -> str:
    """The script that runs: the same in each attempt."""
    first = str((getattr(sys, "argv", None) or [""])[0])
    return os.path.realpath(first) if os.path.exists(first) else first

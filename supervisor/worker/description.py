"""What a rank says of its training beside its page: directory, total, best checkpoint, remarks.

Stdlib only: trainers import it. The file is small, and is written only when something changes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .adapters import DESCRIPTION_PREFIX
from .processes import start_ticks

_MOST_REMARKS = 50


class Description:
    """The description of one local rank; `directory` None keeps it in this process."""

    __slots__ = ("_facts", "_owner_pid", "_path", "_written")

    def __init__(self, directory: Path | None, local_rank: int, attempt: int | None) -> None:
        self._path = None if directory is None else directory / f"{DESCRIPTION_PREFIX}{local_rank}"
        if self._path is not None:
            self._path = self._path.with_name(f"{self._path.name}.json")
        self._owner_pid = os.getpid()
        self._written = ""
        self._facts: dict[str, Any] = {
            "attempt": attempt,
            "pid": self._owner_pid,
            "framework": None,
            "checkpoint_dir": None,
            "total_steps": None,
            "best": None,
            "training": None,
            "resumed_from": None,
            "told": [],
        }

    @property
    def is_anothers(self) -> bool:
        """Whether the file is another living process's."""
        if self._path is None:
            return False
        try:
            writer = json.loads(self._path.read_bytes())["pid"]
            return bool(writer != self._owner_pid and start_ticks(writer) is not None)
        except FileNotFoundError:
            return False
        except (OSError, ValueError, TypeError, KeyError):
            return True  # not to be judged, so it is left alone

    def merge(self, **facts: Any) -> None:
        """Say these facts from now on, None too; what was said of others stays. Never raises."""
        self._facts.update(facts)
        self._write()

    def tell(self, sentence: str) -> None:
        """Add a remark for the user, once. Never raises."""
        told: list[str] = self._facts["told"]
        if sentence not in told and len(told) < _MOST_REMARKS:
            told.append(sentence)
            self._write()

    def _write(self) -> None:
        """Replace the file by rename; a full or missing directory leaves the one before."""
        if self._path is None or os.getpid() != self._owner_pid:
            return
        staged = self._path.with_name(f".{self._path.name}.tmp-{self._owner_pid}")
        try:
            text = json.dumps(self._facts)
            if text == self._written:
                return
            fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(fd, "w", encoding="ascii") as file:
                file.write(text)
            os.replace(staged, self._path)
            self._written = text
        except (OSError, ValueError, TypeError):
            self._written = ""  # the next change tries again

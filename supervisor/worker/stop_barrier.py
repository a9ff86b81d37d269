"""One step at which all ranks of a node stop: a rank that left alone would hang the collectives.

A rank must never wait here: it only asks whether the agreed step has been reached.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from time import monotonic

from .page_layout import PAGE_BYTES
from .page_reading import read_pages

# A rank at the boundary after step s lets no other finish s + 1 without it. But the others' steps
# may have run ahead of their beats: one more step is the margin for a beat under way.
STEPS_AHEAD = 2
_CLAIM_PATIENCE_S = 1.0


class StopBarrier:
    """The agreed step, in a page that all ranks of an attempt map; 0 until a rank proposes one."""

    __slots__ = ("_attempt", "_claim", "_directory", "_step", "_waiting_since")

    def __init__(self, directory: Path, attempt: int, round_name: str) -> None:
        """Map the page, which the first rank to come makes. Raises OSError."""
        self._directory = directory
        self._attempt = attempt
        self._claim = directory / f"stop-{round_name}.claim"
        self._waiting_since: float | None = None
        fd = os.open(directory / f"stop-{round_name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Keeps what an earlier rank wrote; a hole on a full tmpfs would be SIGBUS when touched.
            os.posix_fallocate(fd, 0, PAGE_BYTES)
            self._step = memoryview(mmap.mmap(fd, PAGE_BYTES)).cast("q")
        finally:
            os.close(fd)

    def is_reached(self, step: int, *, asked: bool) -> bool:
        """Whether this rank stops after `step` (its last beaten one); `asked`: it was signalled."""
        agreed = self._step[0]
        if agreed == 0 and asked:
            agreed = self._propose(step)
        return agreed != 0 and step >= agreed

    def _propose(self, step: int) -> int:
        if self._may_publish():
            beaten = [
                page.step
                for page in read_pages(self._directory)
                if page.attempt == self._attempt and page.step is not None
            ]
            self._step[0] = max([step, *beaten]) + STEPS_AHEAD
        return self._step[0]

    def _may_publish(self) -> bool:
        """Whether this rank won the claim, or its winner died before it published."""
        try:
            os.close(os.open(self._claim, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            if self._waiting_since is None:
                self._waiting_since = monotonic()
            return monotonic() - self._waiting_since > _CLAIM_PATIENCE_S
        except OSError:
            # The directory is gone (RemoveIPC at logout); the mapping still joins the ranks.
            return True
        return True

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
# The page's words: the agreed step, the agreed place between two steps, and each rank's own place.
_STEP, _INSIDE, _RANKS = 0, 1, 8
# A place is the step before it and the number of the boundary after that step, in one word.
_PLACE_BITS = 24


class StopBarrier:
    """The agreed step, in a page that all ranks of an attempt map; 0 until a rank proposes one."""

    __slots__ = ("_attempt", "_directory", "_own", "_round", "_waiting_since", "_words")

    def __init__(self, directory: Path, attempt: int, round_name: str, local_rank: int = 0) -> None:
        """Map the page, which the first rank to come makes. Raises OSError."""
        self._directory = directory
        self._attempt = attempt
        self._round = round_name
        self._own = _RANKS + local_rank
        self._waiting_since: dict[str, float] = {}
        fd = os.open(directory / f"stop-{round_name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Keeps what an earlier rank wrote; a hole on a full tmpfs would be SIGBUS when touched.
            os.posix_fallocate(fd, 0, PAGE_BYTES)
            self._words = memoryview(mmap.mmap(fd, PAGE_BYTES)).cast("q")
        finally:
            os.close(fd)

    def is_reached(self, step: int, *, asked: bool) -> bool:
        """Whether this rank stops after `step` (its last beaten one); `asked`: it was signalled."""
        agreed = self._words[_STEP]
        if agreed == 0 and asked:
            agreed = self._propose(step)
        return agreed != 0 and step >= agreed

    def is_reached_inside(self, step: int, place: int, *, proposes: bool) -> bool:
        """The same between two steps, at the `place`-th boundary after `step`.

        No rank passes such a boundary alone. One that comes after the last of them is never
        reached by any rank: then the agreed step counts.
        """
        words, own = self._words, self._own
        if own >= len(words):
            return False
        key = step + 2  # 0 is a word that nobody has written, and no step is -1
        here = words[own] = key << _PLACE_BITS | place
        agreed = words[_INSIDE]
        if proposes and agreed >> _PLACE_BITS != key and self._may_publish(f"-{step}"):
            places = [word for word in words[_RANKS:] if word >> _PLACE_BITS == key]
            agreed = words[_INSIDE] = max(places) + STEPS_AHEAD
        return bool(agreed >> _PLACE_BITS == key and here >= agreed)

    def _propose(self, step: int) -> int:
        if self._may_publish():
            beaten = [
                page.step
                for page in read_pages(self._directory)
                if page.attempt == self._attempt and page.step is not None
            ]
            self._words[_STEP] = max([step, *beaten]) + STEPS_AHEAD
        return self._words[_STEP]

    def _may_publish(self, after_step: str = "") -> bool:
        """Whether this rank won the claim, or its winner died before it published."""
        claim = self._directory / f"stop-{self._round}{after_step}.claim"
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            since = self._waiting_since.setdefault(after_step, monotonic())
            return monotonic() - since > _CLAIM_PATIENCE_S
        except OSError:
            # The directory is gone (RemoveIPC at logout); the mapping still joins the ranks.
            return True
        return True

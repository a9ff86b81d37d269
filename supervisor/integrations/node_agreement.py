"""The place at which all ranks of one node leave a training: a page that they all map.

A place is a step boundary and the number of the boundary inside it, such as a batch of an
evaluation. Each training has a page of its own. A rank never waits here.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from time import monotonic

from ..worker.page_layout import PAGE_BYTES

PLACE_BITS = 24
PLACE_MASK = (1 << PLACE_BITS) - 1
# The ranks may run ahead of their places in the page: one more boundary is the margin for that.
BOUNDARIES_AHEAD = 2
# A rank that has not come so long after a stop was asked for has no adapter, or no page.
_MISSING_S = 5.0
_STEP, _INSIDE, _REFUSED, _RANKS = 0, 1, 2, 8
_BEFORE_ALL, _TAKES_NO_STOPS = 1, -1
_SCRIPTS, _MISSING = 1, 2
A_SCRIPTS = "the script of a rank sees to stops itself"
A_MISSING = "a rank has no page or no adapter"
_HELD = (errno.EACCES, errno.EAGAIN)


class NodeAgreement:
    """The agreement of one training's ranks on this node."""

    def __init__(self, path: str, local_rank: int, ranks: int, *, takes: bool) -> None:
        """Map the page, which the first rank to come makes. Raises OSError, also for its room.

        `takes`: this rank takes stops, as far as is known before its first look.
        """
        self._own, self._end = _RANKS + local_rank, _RANKS + ranks
        if not _RANKS <= self._own < self._end <= PAGE_BYTES // 8:
            raise OSError(errno.E2BIG, f"local rank {local_rank} of {ranks}", path)
        # It stays open: a lock of the process ends when it closes the file.
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # Keeps what an earlier rank wrote; a hole on a full tmpfs would be SIGBUS when touched.
            os.posix_fallocate(self._fd, 0, PAGE_BYTES)
            self._words = memoryview(mmap.mmap(self._fd, PAGE_BYTES)).cast("q")
        except OSError:
            os.close(self._fd)
            raise
        self._missing_since: float | None = None
        self._words[self._own] = _BEFORE_ALL if takes else _TAKES_NO_STOPS

    def look(self, place: int, *, asks: bool, is_inside: bool, takes: bool) -> bool:
        """Whether this rank leaves here. `asks`: it was asked to stop, and wants to leave soon.

        `takes` False: this rank leaves stops to the script. Then none of the ranks takes them.
        """
        words = self._words
        words[self._own] = place if takes else _TAKES_NO_STOPS
        if asks and takes and not words[_REFUSED] and self._fd >= 0:
            self._propose(place, is_inside)
        return is_reached(place, (words[_STEP], words[_INSIDE]), is_inside=is_inside)

    @property
    def refusal(self) -> str | None:
        """Why no rank takes a stop; None as long as that is not so."""
        why = self._words[_REFUSED]
        if not why:
            return None
        return A_SCRIPTS if why == _SCRIPTS else A_MISSING

    def is_everyone_here(self) -> bool:
        """Whether each rank's adapter has joined; sure once the ranks have met in a collective."""
        return 0 not in self._words[_RANKS : self._end].tolist()

    def take_none(self) -> None:
        """Leave stops to the script from now on."""
        self._words[self._own] = _TAKES_NO_STOPS

    def close(self) -> None:
        """The training is over: propose nothing any more. The place stays for the other ranks."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _propose(self, place: int, is_inside: bool) -> None:
        word = _INSIDE if is_inside else _STEP
        agreed = self._words[word]
        if agreed if not is_inside else agreed >> PLACE_BITS == place >> PLACE_BITS:
            return
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        except OSError as error:
            if error.errno in _HELD:
                return  # another rank proposes at this moment
            self._words[_REFUSED] = _MISSING
            return
        try:
            if self._words[word] == agreed and not self._words[_REFUSED]:
                self._publish(word, place, is_inside)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1)

    def _publish(self, word: int, place: int, is_inside: bool) -> None:
        words = self._words
        places = words[_RANKS : self._end].tolist()
        if not words[_STEP] and not words[_INSIDE]:
            if _TAKES_NO_STOPS in places:
                words[_REFUSED] = _SCRIPTS
            elif 0 in places and not self._may_still_come():
                words[_REFUSED] = _MISSING
            if _TAKES_NO_STOPS in places or 0 in places:
                return
        if is_inside:
            here = [each for each in places if each >> PLACE_BITS == place >> PLACE_BITS]
            words[word] = max(here) + BOUNDARIES_AHEAD
        else:
            words[word] = ((max(places) >> PLACE_BITS) + BOUNDARIES_AHEAD) << PLACE_BITS

    def _may_still_come(self) -> bool:
        """Whether a rank that is missing may be about to join."""
        now = monotonic()
        self._missing_since = self._missing_since or now
        return now - self._missing_since < _MISSING_S


def is_reached(place: int, agreed: tuple[int, ...], *, is_inside: bool) -> bool:
    """Whether a rank at `place` leaves. All ranks come through the same places, in order.

    Inside a step only a place inside the same step counts. If the step's places end before it, all
    ranks leave at the boundary that follows.
    """
    if is_inside:
        return any(
            each & PLACE_MASK and each >> PLACE_BITS == place >> PLACE_BITS and place >= each
            for each in agreed
        )
    return any(each and place >= each for each in agreed)


class NoAgreement:
    """The ranks cannot agree: none of them takes a stop."""

    def __init__(self, why: str) -> None:
        self.refusal: str | None = why

    def look(self, place: int, *, asks: bool, is_inside: bool, takes: bool) -> bool:
        """Never leave."""
        return False

    def is_everyone_here(self) -> bool:
        """It is not known."""
        return False

    def take_none(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

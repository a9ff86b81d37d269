"""The heartbeat page, one a rank: how it is written.

It must stay stdlib only and light, since trainers import it. A beat must make no system call.
"""

from __future__ import annotations

import os
from binascii import crc32
from collections.abc import Callable
from math import nan
from time import monotonic_ns
from typing import Protocol

from .contract import Phase
from .page import Outcome, Page
from .page_layout import (
    BEAT,
    BEAT_AT,
    CHECKPOINT_BYTES_MAX,
    END,
    END_IS_TOLD,
    ENDED_IN_ORDER,
    GRAD_NORM_AT,
    HEADER,
    MAGIC,
    OUTCOME,
    OUTCOME_AT,
    OUTCOME_SIGNED,
    PAGE_BYTES,
    STACKS_ARMED,
    STATE,
    STATE_AT,
    STOP_ASKED,
    STOP_READ,
    STOP_SEEN,
    VERSION,
)
from .page_place import PagePlace

__all__ = [
    "Beat",
    "Outcome",
    "Page",
    "PageWriter",
    "Phase",
]

_Q_BEAT, _Q_STATE = BEAT_AT // 8, STATE_AT // 8


class Beat(Protocol):
    """Record that a step was done."""

    def __call__(
        self,
        step: int,
        epoch: int | None = -1,
        loss: float | None = nan,
        grad_norm: float | None = None,
    ) -> None:
        """Numbers may be anything that float() takes; a CUDA tensor costs a synchronisation."""


class PageWriter:
    """Writes the page. Without a path it writes to private memory: the same cost, no effect."""

    __slots__ = (
        "_durations", "_first_ns", "_octets", "_phase", "_place", "_redirect", "_since", "_words",
        "at_first_beat", "beat",
    )  # fmt: skip

    beat: Beat
    at_first_beat: Callable[[], None] | None
    """Called once, when the first step is done and the page says so."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        *,
        start_ticks: int = 0,
        rank: int = 0,
        world_size: int = 1,
        local_rank: int = 0,
        attempt: int = 0,
    ) -> None:
        """Put a new page in the place of an older one, unless that has a living owner.

        Raises OSError (no space, no directory).
        """
        self._phase, self._since, self._first_ns = Phase.STARTUP, monotonic_ns(), 0
        self._durations = dict.fromkeys((Phase.SAVE, Phase.EVAL, Phase.COMPILE), -1)
        start = bytearray(PAGE_BYTES)
        HEADER.pack_into(
            start, 0, MAGIC, VERSION, os.getpid(), rank, world_size, local_rank, start_ticks,
            self._since, attempt,
        )  # fmt: skip
        BEAT.pack_into(start, BEAT_AT, 1, 0, -1, -1, nan, 1)
        STATE.pack_into(start, STATE_AT, 1, Phase.STARTUP, self._since, 0, -1, -1, -1, -1, 1)
        self.at_first_beat = None
        self._words: memoryview = memoryview(start).cast("q")
        self._octets = self._words.cast("B")
        self.beat, self._redirect = self._make_beat()
        self._place: PagePlace | None = None
        if path is not None:
            self._place = PagePlace(
                os.fspath(path),
                start_ticks=start_ticks,
                created_ns=self._since,
                words=lambda: self._words,
                write_to=self._write_to,
            )

    def _make_beat(self) -> tuple[Beat, Callable[[memoryview], None]]:
        words, floats = self._words, self._words.cast("B").cast("d")
        now: Callable[[], int] = monotonic_ns
        count, stepping = 1, False
        begin, end = _Q_BEAT + 5, _Q_BEAT
        at, step_at, epoch_at, loss_at = end + 1, end + 2, end + 3, end + 4
        norm_at = GRAD_NORM_AT // 8

        def beat(
            step: int,
            epoch: int | None = -1,
            loss: float | None = nan,
            grad_norm: float | None = None,
        ) -> None:
            # A closure over memoryviews: 0.3 µs. Struct.pack_into would be 0.04 µs faster, but
            # clears its target first, so that a reader can meet zeros between equal counters.
            nonlocal count, stepping
            count += 1
            words[begin] = count
            words[at] = now()
            words[step_at] = step
            try:  # the store refuses what is not a number: the check costs nothing otherwise
                words[epoch_at] = epoch  # type: ignore[assignment]
                floats[loss_at] = loss  # type: ignore[assignment]
            except TypeError:
                words[epoch_at] = -1 if epoch is None else int(epoch)
                floats[loss_at] = nan if loss is None else float(loss)
            words[end] = count
            if grad_norm is not None:
                floats[norm_at] = float(grad_norm) or -0.0
            if not stepping:
                stepping = True
                self._begin_stepping()

        def redirect(target: memoryview) -> None:
            nonlocal words, floats
            words, floats = target, target.cast("B").cast("d")

        return beat, redirect

    def _begin_stepping(self) -> None:
        if self._place is not None:
            self._place.claim()
        self._first_ns = monotonic_ns()
        if self._phase is Phase.STARTUP:
            self._phase, self._since = Phase.STEP, self._first_ns
        self._write_state()
        if self.at_first_beat is not None:
            self.at_first_beat()

    @property
    def phase(self) -> Phase:
        """The phase the page shows."""
        return self._phase

    @property
    def step(self) -> int:
        """The last beaten step, -1 before the first."""
        return int(self._words[_Q_BEAT + 2])

    @property
    def is_shared(self) -> bool:
        """Whether other processes can read what is written."""
        return self._place is not None and self._place.is_shared

    @property
    def is_bystander(self) -> bool:
        """Whether another process owns the page: the supervisor does not see this one, a helper."""
        return self._place is not None and not self._place.is_shared

    @property
    def is_owner_asked(self) -> bool:
        """Whether the process that owns the page instead of this one was asked to stop."""
        return self._place is not None and self._place.is_owner_asked

    def enter(self, phase: Phase) -> int:
        """Show `phase` from now on; returns the time (monotonic ns) for `leave`."""
        if self._place is not None:
            self._place.claim()
        self._phase, self._since = phase, monotonic_ns()
        self._write_state()
        return self._since

    def leave(self, phase: Phase, outer: Phase, since_ns: int, *, completed: bool) -> None:
        """Show the outer phase again; only what was `completed` counts for the durations."""
        now = monotonic_ns()
        if completed and phase in self._durations:
            took_ms = (now - since_ns) // 1_000_000
            self._durations[phase] = max(self._durations[phase], took_ms)
            if phase is Phase.SAVE:
                self._words[_Q_STATE + 4] = took_ms
        has_stepped = self._first_ns != 0
        self._phase = Phase.STEP if outer is Phase.STARTUP and has_stepped else outer
        self._since = now
        self._write_state()

    def _write_state(self) -> None:
        words, at = self._words, _Q_STATE
        count = words[at + 8] + 1
        words[at + 8] = count
        words[at + 1] = self._phase
        words[at + 2] = self._since
        words[at + 3] = self._first_ns
        for offset, phase in enumerate((Phase.SAVE, Phase.EVAL, Phase.COMPILE), start=5):
            words[at + offset] = self._durations[phase]
        words[at] = count

    @property
    def is_stop_asked(self) -> bool:
        """Whether the launcher has asked for a stop. The first read tells the launcher of a reader.

        No system call: a look at the mapped page.
        """
        octets = self._octets
        if not octets[STOP_READ]:
            octets[STOP_READ] = 1
        return octets[STOP_ASKED] != 0

    def show_stop_seen(self) -> None:
        """Say that a stop was seen; one byte, so a signal handler may do it at any moment."""
        self._octets[STOP_SEEN] = 1

    def show_stacks_armed(self) -> None:
        """Say that SIGUSR2 makes this process write its stacks (and does not kill it)."""
        self._octets[STACKS_ARMED] = 1

    def show_end(self, *, in_order: bool) -> None:
        """Say that this process has ended in order; before its end, that it is going to say so."""
        self._octets[END] = ENDED_IN_ORDER if in_order else END_IS_TOLD

    def write_outcome(self, code: int, step: int | None, checkpoint: str | None) -> None:
        """Record the ending once; a later one changes nothing. A path too long is left out."""
        if self._place is not None:
            self._place.claim()
        octets = self._octets
        if octets[OUTCOME_AT]:
            return
        path = os.fsencode(checkpoint or "")
        if len(path) > CHECKPOINT_BYTES_MAX:
            path = b""
        number = -1 if step is None else step
        signed = crc32(OUTCOME_SIGNED.pack(code, number, len(path)) + path)
        entry = OUTCOME.pack(0, code, number, signed, len(path)) + path
        octets[OUTCOME_AT : OUTCOME_AT + len(entry)] = entry
        octets[OUTCOME_AT] = 1

    def look(self) -> bool:
        """Put the page where the supervisor looks, if it is not there; True if that was done now.

        Raises OSError (its directory is not there yet, no space).
        """
        return self._place is not None and self._place.look()

    def detach(self) -> None:
        """Write to private memory from now on: for a forked child, which shares the mapping."""
        if self._place is not None:
            self._place.let_go()
        self._place = self.at_first_beat = None
        self._write_to(memoryview(bytearray(self._words)).cast("q"))
        self._octets[STOP_ASKED] = 0  # a stop concerns the parent only

    def _write_to(self, words: memoryview) -> None:
        self._words, self._octets = words, words.cast("B")
        self._redirect(words)

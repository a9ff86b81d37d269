"""What a heartbeat page says: the record that one read of it gives.

Stdlib only and light. It must not open, write or read anything: page_place.py and page_reading.py
do.
"""

from __future__ import annotations

import os
from binascii import crc32
from math import isnan
from typing import NamedTuple

from .contract import Phase
from .page_layout import (
    BEAT,
    BEAT_AT,
    CHECKPOINT_BYTES_MAX,
    END,
    ENDED_IN_ORDER,
    GRAD_NORM,
    GRAD_NORM_AT,
    HEADER,
    IS_SECOND,
    MAGIC,
    OUTCOME,
    OUTCOME_AT,
    OUTCOME_SIGNED,
    PAGE_BYTES,
    STACKS_ARMED,
    STATE,
    STATE_AT,
    STOP_SEEN,
    VERSION,
)


class Outcome(NamedTuple):
    """How a trainer says that it ended. It outranks the exit code, which launchers change."""

    code: int
    step: int | None
    checkpoint: str | None


class Page(NamedTuple):
    """One read of a page. Absent is None; times are CLOCK_MONOTONIC of this machine."""

    pid: int
    rank: int
    world_size: int
    local_rank: int
    start_ticks: int
    attempt: int
    created_monotonic_ns: int
    beats: int
    beat_monotonic_ns: int | None
    step: int | None
    epoch: int | None
    loss: float | None
    phase: Phase
    phase_since_monotonic_ns: int
    first_step_monotonic_ns: int | None
    last_save_ms: int | None
    longest_save_ms: int | None
    longest_eval_ms: int | None
    longest_compile_ms: int | None
    stop_seen: bool
    stacks_armed: bool
    is_second: bool
    """It attached where a living process had attached and not begun: one of the two is no rank."""
    outcome: Outcome | None
    tells_its_end: bool
    """Its worker is of a version that says when it ends in order."""
    has_ended_in_order: bool
    """Its program came to its end: it was not killed, and no exception ended it."""
    is_torn: bool
    """The writer was stopped inside a write: its numbers may belong to two neighbouring beats."""
    grad_norm: float | None = None

    @property
    def is_begun(self) -> bool:
        """Whether the process has beaten, entered a phase or ended: then it owns the page."""
        has_entered = self.phase_since_monotonic_ns != self.created_monotonic_ns
        return self.beats > 0 or has_entered or self.outcome is not None


def parse(raw: bytes) -> Page | None:
    """The record of one copy of a page; None if it is not one of ours. Never raises."""
    if len(raw) != PAGE_BYTES:
        return None
    magic, version, pid, rank, world_size, local_rank, ticks, created, attempt = HEADER.unpack_from(
        raw
    )
    if magic != MAGIC or version != VERSION or pid == 0:
        return None
    end, beat_ns, step, epoch, loss, begin = BEAT.unpack_from(raw, BEAT_AT)
    state_end, phase, since, first, *durations, state_begin = STATE.unpack_from(raw, STATE_AT)
    last_save, save, evaluation, compilation = (ms if ms >= 0 else None for ms in durations)
    return Page(
        pid=pid,
        rank=rank,
        world_size=world_size,
        local_rank=local_rank,
        start_ticks=ticks,
        attempt=attempt,
        created_monotonic_ns=created,
        beats=end - 1,
        beat_monotonic_ns=beat_ns or None,
        step=step if step >= 0 else None,
        epoch=epoch if epoch >= 0 else None,
        loss=None if isnan(loss) else loss,
        phase=Phase(phase) if 0 <= phase <= Phase.FINAL else Phase.STARTUP,
        phase_since_monotonic_ns=since,
        first_step_monotonic_ns=first or None,
        last_save_ms=last_save,
        longest_save_ms=save,
        longest_eval_ms=evaluation,
        longest_compile_ms=compilation,
        stop_seen=raw[STOP_SEEN] != 0,
        stacks_armed=raw[STACKS_ARMED] != 0,
        is_second=raw[IS_SECOND] != 0,
        outcome=_parse_outcome(raw),
        tells_its_end=raw[END] != 0,
        has_ended_in_order=raw[END] == ENDED_IN_ORDER,
        is_torn=begin != end or state_begin != state_end,
        grad_norm=_grad_norm(raw),
    )


def _grad_norm(raw: bytes) -> float | None:
    if not any(raw[GRAD_NORM_AT : GRAD_NORM_AT + GRAD_NORM.size]):
        return None
    found: float = GRAD_NORM.unpack_from(raw, GRAD_NORM_AT)[0]
    return found + 0.0  # -0 is 0


def _parse_outcome(raw: bytes) -> Outcome | None:
    is_set, code, step, signed, length = OUTCOME.unpack_from(raw, OUTCOME_AT)
    path = raw[OUTCOME_AT + OUTCOME.size :][:length]
    if not is_set or length > CHECKPOINT_BYTES_MAX:
        return None
    if signed != crc32(OUTCOME_SIGNED.pack(code, step, length) + path):
        return None
    return Outcome(code, step if step >= 0 else None, os.fsdecode(path) or None)

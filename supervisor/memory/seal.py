"""A slot's seal: the one page that says whether the slot is whole, and of which snapshot.

It outlives a killed process, not a power cut. So it relies on the order of stores alone: the state
says WRITING before the first byte of the slot changes, and WHOLE after the last. It decides
nothing.
"""

import json
import mmap
import os
import struct
from binascii import crc32
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.checkpoint.layout import is_safe_name

SEAL_BYTES = 8192
MAGIC = b"TSSN"
VERSION = 1
# magic, version, state, (pad), sequence, length of the record, crc of sequence and record
_HEADER = struct.Struct("<4sIIIQII")
_SIGNED = struct.Struct("<Q")
_STATE_AT, _STATE = 8, struct.Struct("<I")
_LEFT_AT, _SETTLED_AT, _SEQUENCE = 32, 40, struct.Struct("<Q")
_RECORD_AT = 64
MOST_RECORD_BYTES = SEAL_BYTES - _RECORD_AT


class SlotState(IntEnum):
    """What is in a slot."""

    EMPTY = 0
    WRITING = 1
    WHOLE = 2
    VOID = 3
    """Given up: the run went back behind it, or it was found to be bad."""


class Move(IntEnum):
    """What a writer does to a slot, or the daemon, which gives it up."""

    BEGIN = 0
    CLOSE = 1
    GIVE_UP = 2


# Which moves there are, and what they lead to; the model check (tests/model) explores this table.
# A seal is closed only over a slot that was begun, so that nothing else becomes whole.
MOVES: dict[tuple[SlotState, Move], SlotState] = {
    **dict.fromkeys(((state, Move.BEGIN) for state in SlotState), SlotState.WRITING),
    (SlotState.WRITING, Move.CLOSE): SlotState.WHOLE,
    **dict.fromkeys(((state, Move.GIVE_UP) for state in SlotState), SlotState.VOID),
}


class IllegalMoveError(RuntimeError):
    """The table has no such move. It is a fault in the writer, and nothing happened."""


def after(state: SlotState, move: Move) -> SlotState:
    """Where a move leads. Raises IllegalMoveError."""
    if (state, move) not in MOVES:
        raise IllegalMoveError(f"{state.name} × {move.name}")
    return MOVES[state, move]


class Snapshot(NamedTuple):
    """What a whole slot holds, as its writer described it.

    `name`: what the checkpoint is called (`checkpoint-510`), also the directory in the slot.
    `directory`: where checkpoints of the run go, absolute. `epoch` is an index from 0. `kind` as
    in the manifest. `is_wanted`: it is to be persisted, not only kept. `before`: absolute paths
    of files that must be on the disk before the checkpoint is (the persister fsyncs them).
    `bytes`: the size of all files. `written`: wall seconds since 1970. Together with run and step
    it tells a snapshot from that of the same step, replayed.
    """

    name: str
    directory: str
    step: int
    epoch: int
    kind: str
    run_id: str | None
    attempt: int | None
    resumed_from: str | None
    world_size: int
    torch_version: str | None
    is_wanted: bool
    before: tuple[str, ...]
    bytes: int
    written: float


class Seal(NamedTuple):
    """One read of a seal; `snapshot` is there only if `state` is WHOLE and the record intact."""

    state: SlotState
    sequence: int
    snapshot: Snapshot | None


class SealWriter:
    """The mapped seal of one slot. Only the holder of the slot's exclusive lock writes."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it anew. Raises OSError (ENOSPC on a full tmpfs)."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # Fallocated, never truncated to its length: a hole in a full tmpfs is SIGBUS.
            os.posix_fallocate(fd, 0, SEAL_BYTES)
            self._page = mmap.mmap(fd, SEAL_BYTES)
        finally:
            os.close(fd)
        self._read = b""
        self._meaning = Seal(SlotState.EMPTY, 0, None)

    @property
    def current(self) -> Seal:
        """What it says now. The daemon may have given the slot up since this process wrote it.

        One snapshot asks for it many times, and the page has nearly always stayed the same.
        """
        raw = bytes(self._page)
        if raw != self._read:
            self._read, self._meaning = raw, parse(raw)
        return self._meaning

    def begin(self) -> None:
        """Say that the slot's content is not whole from now on."""
        self._move(Move.BEGIN)

    def _move(self, move: Move) -> None:
        _STATE.pack_into(self._page, _STATE_AT, after(self._state, move))

    @property
    def _state(self) -> SlotState:
        try:
            return SlotState(_STATE.unpack_from(self._page, _STATE_AT)[0])
        except ValueError:
            return SlotState.VOID

    def close_over(self, sequence: int, snapshot: Snapshot) -> None:
        """Say that the slot is whole.

        Raises ValueError if the record does not fit, IllegalMoveError if it was not begun.
        """
        record = json.dumps(snapshot._asdict(), separators=(",", ":")).encode()
        if len(record) > MOST_RECORD_BYTES:
            raise ValueError(f"a snapshot's record of {len(record)} bytes does not fit its seal")
        after(self._state, Move.CLOSE)
        signed = crc32(_SIGNED.pack(sequence) + record)
        self._page[_RECORD_AT : _RECORD_AT + len(record)] = record
        header = (MAGIC, VERSION, SlotState.WRITING, 0, sequence, len(record), signed)
        _HEADER.pack_into(self._page, 0, *header)
        # This store comes last, and is one aligned word: it alone makes the slot whole.
        self._move(Move.CLOSE)

    def void(self, *, is_bad: bool = False) -> None:
        """Say that the slot's content is given up, since the run goes back behind it.

        `is_bad`: since it was damaged in memory. Its checkpoint on the disk is then left alone.
        """
        if not is_bad:
            # Stored first, so that no reader takes the slot for a damaged one. It has no meaning
            # while the slot is WHOLE.
            _SEQUENCE.pack_into(self._page, _LEFT_AT, self.current.sequence)
        self._move(Move.GIVE_UP)

    def settle(self, sequence: int) -> None:
        """Say that the disk was searched for a snapshot that was given up. Any process may."""
        _SEQUENCE.pack_into(self._page, _SETTLED_AT, sequence)

    def close(self) -> None:
        """Unmap it."""
        self._page.close()


def read_seal(path: Path) -> Seal:
    """Read a seal; a file that is absent, short or no seal reads as EMPTY. Never raises or waits.

    A WHOLE seal whose record is damaged reads as VOID.
    """
    return parse(_read(path))


class SupersededSnapshot(NamedTuple):
    """The last snapshot of a slot that the run went back behind, whatever the slot holds by now."""

    sequence: int
    snapshot: Snapshot | None
    """What it was; None if the slot was written since, or `settle` has marked it."""


def read_left_behind(path: Path) -> SupersededSnapshot | None:
    """Read it; None if there is none, or it is whole after all. Never raises, never waits."""
    raw = _read(path)
    seal = parse(raw)
    if seal.state is SlotState.EMPTY:
        return None
    sequence = _SEQUENCE.unpack_from(raw, _LEFT_AT)[0]
    if not sequence or (seal.state is SlotState.WHOLE and seal.sequence == sequence):
        return None
    if (
        seal.state is not SlotState.VOID
        or seal.sequence != sequence
        or _SEQUENCE.unpack_from(raw, _SETTLED_AT)[0] == sequence
    ):
        return SupersededSnapshot(sequence, None)
    before = bytearray(raw)
    _STATE.pack_into(before, _STATE_AT, SlotState.WHOLE)
    return SupersededSnapshot(sequence, parse(bytes(before)).snapshot)


def _read(path: Path) -> bytes:
    """The bytes of a seal; b"" if it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, SEAL_BYTES, 0)
    except OSError:
        return b""
    finally:
        os.close(fd)


def parse(raw: bytes) -> Seal:
    """The meaning of one copy of a seal; a copy taken during a write never reads as WHOLE."""
    if len(raw) != SEAL_BYTES:
        return Seal(SlotState.EMPTY, 0, None)
    magic, version, number, _, sequence, length, signed = _HEADER.unpack_from(raw)
    if magic != MAGIC or version != VERSION:
        return Seal(SlotState.EMPTY, 0, None)
    try:
        state = SlotState(number)
    except ValueError:
        return Seal(SlotState.VOID, sequence, None)
    if state is not SlotState.WHOLE:
        return Seal(state, sequence, None)
    record = raw[_RECORD_AT : _RECORD_AT + length]
    snapshot = _parse_record(record)
    if signed != crc32(_SIGNED.pack(sequence) + record) or snapshot is None:
        return Seal(SlotState.VOID, sequence, None)
    return Seal(state, sequence, snapshot)


def _parse_record(record: bytes) -> Snapshot | None:
    """The snapshot of a record; None if a value is such as no writer puts there."""
    try:
        values: dict[str, Any] = json.loads(record)
        # A trainer of another version may write more fields: the snapshot is whole all the same.
        known = {name: values[name] for name in Snapshot._fields}
        snapshot = Snapshot(**{**known, "before": tuple(known["before"])})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    counts = (snapshot.step, snapshot.epoch, snapshot.world_size, snapshot.bytes)
    texts = (snapshot.name, snapshot.directory, snapshot.kind, *snapshot.before)
    maybe_texts = (snapshot.run_id, snapshot.resumed_from, snapshot.torch_version)
    is_sound = (
        all(type(count) is int and 0 <= count < 2**63 for count in counts)
        and all(isinstance(text, str) and "\0" not in text for text in texts)
        and all(text is None or isinstance(text, str) for text in maybe_texts)
        and (snapshot.attempt is None or type(snapshot.attempt) is int)
        and type(snapshot.is_wanted) is bool
        and isinstance(snapshot.written, int | float)
        and 0 <= snapshot.written < 2**63
        and is_safe_name(snapshot.name)
        and not snapshot.name.startswith(".")
        and "/" not in snapshot.name
    )
    return snapshot if is_sound else None

"""The ledger: what happened to a run, append-only, a checksum on each line, one writer.

It survives torn lines, bit rot and a full disk; it must never be rewritten.
"""

import errno
import json
import math
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from supervisor.system.clock import monotonic_s, rfc3339, wall_s
from supervisor.system.durable import fsync_directory

RESERVE_BYTES = 1 << 20
_MARK = b',"sum":"'
_FULL = (errno.ENOSPC, errno.EDQUOT)


def encode_entry(entry: Mapping[str, Any]) -> bytes:
    """One line: the JSON of `entry` with the CRC-32 of everything before it as its last field.

    A value that JSON has no word for (an infinite loss) becomes null. Names that are not UTF-8 pass
    as they are. An entry that could not be written would cost the run its decision.
    """
    body = json.dumps(_plain(entry), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    head = body.encode("utf-8", "surrogatepass")[:-1]
    return head + _MARK + b'%08x"}\n' % zlib.crc32(head)


def _plain(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case _:
            return value


def decode_entry(line: bytes) -> dict[str, Any] | None:
    """The entry of a line without its checksum, or None where the line is not whole."""
    head, mark, tail = line.rstrip(b"\n").rpartition(_MARK)
    if not mark or tail != b'%08x"}' % zlib.crc32(head):
        return None
    try:
        entry = json.loads(head + b"}")
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def iterate_ledger(path: Path) -> Iterator[dict[str, Any]]:
    """All whole entries, one by one: a ledger of weeks is never in memory as a whole. OSError."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            entry = decode_entry(line)
            if entry is not None:
                yield entry


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """All whole entries in order; torn or rotten lines are passed over. Raises OSError."""
    return read_ledger_report(path)[0]


def read_ledger_report(path: Path) -> tuple[list[dict[str, Any]], int]:
    """All whole entries, and how many lines were damaged. A missing file has none of both."""
    entries: list[dict[str, Any]] = []
    bad = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.strip():
                    continue
                entry = decode_entry(line)
                if entry is None:
                    bad += 1
                else:
                    entries.append(entry)
    except FileNotFoundError:
        return [], 0
    return entries, bad


class LedgerWriter:
    """The one writer of a ledger: it belongs to the holder of the run's lock."""

    def __init__(self, path: Path, reserve: Path) -> None:
        self._path = path
        self._reserve = reserve
        self._backlog: list[bytes] = []
        # How many entries of the backlog are in the file, and perhaps not on the disk yet.
        self._written = 0
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._mid_line = _ends_mid_line(self._fd)
        self._is_named = False

    @property
    def backlog(self) -> int:
        """How many entries wait for space on the disk."""
        return len(self._backlog) - self._written

    def append(self, entries: Iterable[Mapping[str, Any]], *, sync: bool = True) -> bool:
        """Append with one fsync; True when all is durable (without `sync`: written).

        Without `sync` the entries survive the daemon's death. A power cut may lose them until the
        next `sync`, or the next `append` that syncs.
        On a full disk the reserve is given back first. Entries that still do not fit are kept and
        written with the next call: while the daemon lives, no decision is lost.
        """
        # Both clocks: wall time may jump, monotonic time ends with the boot.
        at = {"at": rfc3339(wall_s()), "monotonic": round(monotonic_s(), 3)}
        self._backlog += [encode_entry({**at, **entry}) for entry in entries]
        return self._flush(sync=sync)

    def sync(self) -> bool:
        """Make entries durable that were appended without `sync`; True when all are."""
        return self._flush(sync=True)

    def _flush(self, *, sync: bool) -> bool:
        if not self._backlog:
            return True
        try:
            self._drain(sync=sync)
        except OSError as error:
            if error.errno not in _FULL or not self.release_reserve():
                return False
            try:
                self._drain(sync=sync)
            except OSError:
                return False
        return True

    def _drain(self, *, sync: bool) -> None:
        try:
            for entry in self._backlog[self._written :]:
                line = (b"\n" if self._mid_line else b"") + entry
                written = os.write(self._fd, line)
                if written:
                    self._mid_line = written < len(line)
                if written < len(line):
                    # A disk that has just filled up answers so. The entry is written anew, whole.
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
                self._written += 1
        finally:
            if sync:
                self._sync()

    def _sync(self) -> None:
        try:
            os.fsync(self._fd)
            if not self._is_named:
                # By POSIX, a file's fsync makes its bytes durable, not its name in the directory.
                fsync_directory(self._path.parent)
                self._is_named = True
        except OSError as error:
            if error.errno in _FULL:
                # NFS tells of a full disk only here, and all that was written is gone: write it
                # again. An entry that is on record twice harms less than one that is lost.
                self._mid_line, self._written = True, 0
            raise
        finally:
            del self._backlog[: self._written]
            self._written = 0

    def release_reserve(self) -> bool:
        """Give the reserve back to a full disk; False where it is gone already."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def ensure_reserve(self) -> bool:
        """Make the reserve if it is not there; False where the disk has no room for it."""
        try:
            if self._reserve.stat().st_size >= RESERVE_BYTES:
                return True
        except OSError:
            self._mid_line = _ends_mid_line(self._fd)
        try:
            fd = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(fd, 0, RESERVE_BYTES)
        except OSError:
            self.release_reserve()
            return False
        finally:
            os.close(fd)
        return True

    def is_removed(self) -> bool:
        """Whether the ledger was removed, and lives on by this descriptor alone."""
        try:
            there = self._path.stat()
        except OSError as error:
            return error.errno in (errno.ENOENT, errno.ENOTDIR)
        held = os.fstat(self._fd)
        return held.st_nlink == 0 and (held.st_dev, held.st_ino) != (there.st_dev, there.st_ino)

    def restore(self) -> bool:
        """Put a copy in the place of a ledger that was removed; False if it was not.

        The link count of a removed file is 0, and link(2) cannot give it a name again. Raises
        OSError.
        """
        if not self.is_removed():
            return False
        stage = self._path.with_name(f"{self._path.name}.anew")
        stage.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(stage, flags, 0o600)
        try:
            at = 0
            while block := os.pread(self._fd, 1 << 20, at):
                at += os.write(fd, block)
            os.fsync(fd)
            stage.rename(self._path)
            fsync_directory(self._path.parent)
            os.dup2(fd, self._fd, inheritable=False)
        finally:
            os.close(fd)
        return True

    def close(self) -> None:
        """Close the file. Entries in the backlog are lost, so `append` first."""
        os.close(self._fd)


def _ends_mid_line(fd: int) -> bool:
    size = os.fstat(fd).st_size
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"

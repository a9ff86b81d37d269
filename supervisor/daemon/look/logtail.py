"""A log followed by offset: what was added since the last look, in constant memory.

It must cost one stat when nothing happened, and survive whatever is done to the file meanwhile.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

READ_BYTES_MAX = 1 << 20
LINE_BYTES_MAX = 64 << 10
_BLOCK_BYTES = 256 << 10
_KNOWN_BYTES = 64
# Progress bars redraw with \r; each drawing is a line. \r\n is one end.
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class LogChunk:
    """What one poll found. `grew` is liveness; `offset` is where the next poll reads on."""

    lines: tuple[str, ...]
    grew: bool
    bytes_read: int
    offset: int


class LogTail:
    """Follows one path, even if another file takes it; `where` may give the path anew each time."""

    __slots__ = (
        "_fd",
        "_identity",
        "_is_cut",
        "_known",
        "_offset",
        "_partial",
        "_where",
        "skipped_bytes",
    )

    def __init__(
        self, path: Path, offset: int = 0, *, where: Callable[[], Path] | None = None
    ) -> None:
        """Read from `offset` on; of a line that began before it, the rest is given."""
        self._where = where or (lambda: path)
        self.skipped_bytes = 0
        """Bytes that no poll gave: bursts beyond 1 MiB a poll, lines beyond 64 KiB."""
        self._offset = offset
        self._fd: int | None = None
        self._identity: tuple[int, int] | None = None
        self._known = b""
        self._partial = b""
        self._is_cut = False

    def poll(self) -> LogChunk:
        """Read what is new, at most 1 MiB of it: the newest. Never raises for the file's state.

        After a truncation the file is read from its beginning. After a rename the old file is read
        to its end, then the new file of that name. A last line without newline waits for its end.
        """
        path = self._where()
        found = _stat(path)
        identity = (found.st_dev, found.st_ino) if found is not None else None
        if identity == self._identity and found is not None and found.st_size == self._offset:
            return LogChunk((), False, 0, self._offset)
        lines: list[str] = []
        taken = 0
        if self._fd is not None and identity != self._identity:
            # The file or its directory is away. A trainer may still write to it: it is read on
            # until another file has the name.
            taken = self._take(lines)
            if identity is not None:
                self._finish_line(lines)
                self.close()
                self._offset, self._known = 0, b""
        if taken == 0 and (self._fd is not None or self._open(path)):
            taken = self._take(lines)
        return LogChunk(tuple(lines), taken > 0, taken, self._offset)

    def partial(self) -> str:
        """The last line so far, if it has no newline yet: a dead trainer may have left it so."""
        return self._partial.decode("utf-8", "replace")

    def close(self) -> None:
        """Let go of the file; the next poll opens it again."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = self._identity = None

    def _open(self, path: Path) -> bool:
        try:
            # NONBLOCK: the path may have become a fifo.
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False  # not there yet, or not ours to read: no growth is what the caller sees
        found = os.fstat(fd)
        self._fd, self._identity = fd, (found.st_dev, found.st_ino)
        return True

    def _take(self, lines: list[str]) -> int:
        """Append complete lines; returns the bytes read."""
        assert self._fd is not None
        try:
            size = os.fstat(self._fd).st_size
            if size == self._offset:
                return 0
            is_rewritten = size < self._offset or not self._is_continued()
        except OSError:
            self.close()  # ESTALE: another NFS client replaced it; opened anew at the next poll
            return 0
        if is_rewritten:  # truncated in place (`> train.log`, copytruncate)
            self._finish_line(lines)
            self._offset, self._known = 0, b""
        behind = size - self._offset
        if behind > READ_BYTES_MAX:
            # The first line after the gap has lost its beginning: it is not given.
            self.skipped_bytes += behind - READ_BYTES_MAX + len(self._partial)
            self._offset = size - READ_BYTES_MAX
            self._partial, self._is_cut = b"", True
        taken = 0
        while taken < min(behind, READ_BYTES_MAX):
            try:
                block = os.pread(self._fd, min(_BLOCK_BYTES, READ_BYTES_MAX - taken), self._offset)
            except OSError:
                break  # EIO, ESTALE: read again at the next poll
            if not block:
                break
            self._offset += len(block)
            taken += len(block)
            self._known = block[-_KNOWN_BYTES:]
            self._split(block, lines)
        return taken

    def _is_continued(self) -> bool:
        """Whether the bytes read last are still there; a truncated file may have outgrown them."""
        assert self._fd is not None
        known = self._known
        return os.pread(self._fd, len(known), self._offset - len(known)) == known

    def _split(self, block: bytes, lines: list[str]) -> None:
        # A block that ends in \r may be half of \r\n: its \r waits for the next one.
        data = self._partial + block
        waits = data.endswith(b"\r")
        *ended, rest = _LINE_END.split(data[:-1] if waits else data)
        for line in ended:
            self._give(line, lines)
        if len(rest) > LINE_BYTES_MAX:
            if not self._is_cut:
                self._give(rest[:LINE_BYTES_MAX], lines)
                self.skipped_bytes -= LINE_BYTES_MAX
            self.skipped_bytes += len(rest)
            rest, self._is_cut = b"", True
        self._partial = rest + b"\r" if waits else rest

    def _give(self, line: bytes, lines: list[str]) -> None:
        if self._is_cut:
            self.skipped_bytes += len(line)
            self._is_cut = False
            return
        self.skipped_bytes += max(0, len(line) - LINE_BYTES_MAX)
        # A hole left by a truncation under a writer without O_APPEND reads as NULs.
        lines.append(line[:LINE_BYTES_MAX].replace(b"\0", b"").decode("utf-8", "replace"))

    def _finish_line(self, lines: list[str]) -> None:
        """Give the last line of a file that will not go on."""
        if self._partial:
            self._give(self._partial.removesuffix(b"\r"), lines)
        self._partial, self._is_cut = b"", False


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None

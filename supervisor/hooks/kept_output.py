"""What a hook prints, kept in a file of bounded size: the first part of it, and the last."""

import os
from collections import deque
from pathlib import Path

FIRST_BYTES = LAST_BYTES = 64 << 10
# The outputs of so many bytes stay, and as many of those before them.
FILE_BYTES = 1 << 20
_LINES, _LINE_CHARACTERS = 3, 300
# Of these the last lines are told. A secret that is cut in two would not be found in them.
_TAIL_BYTES = 16 << 10


class KeptOutput:
    """Appends one hook's output to a file. A disk that refuses it costs the rest of the output."""

    def __init__(self, path: Path, heading: str) -> None:
        self.error: str | None = None
        """Why the file does not have it all."""
        self._fd = -1
        self._left = FIRST_BYTES
        self._last: deque[bytes] = deque()
        self._last_bytes = self._cut = 0
        self._tail = b""
        self._is_tail_cut = False
        try:
            self._fd = _open(path)
        except OSError as error:
            self.error = error.strerror
        self._write(f"== {heading}\n".encode("utf-8", "surrogateescape"))

    def take(self, data: bytes) -> None:
        """Take in more of the output."""
        self._is_tail_cut |= len(self._tail) + len(data) > _TAIL_BYTES
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        first, rest = data[: self._left], data[self._left :]
        self._left -= len(first)
        self._write(first)
        if not rest:
            return
        self._last.append(rest)
        self._last_bytes += len(rest)
        while self._last_bytes - len(self._last[0]) >= LAST_BYTES:
            gone = len(self._last.popleft())
            self._last_bytes -= gone
            self._cut += gone

    def finish(self, ending: str) -> str:
        """Write the last part, and how the hook ended; returns the last whole lines as one text."""
        if self._cut:
            self._write(f"\n[{self._cut} bytes are left out]\n".encode())
        for part in self._last:
            self._write(part)
        end = "" if self._tail.endswith(b"\n") or not self._tail else "\n"
        self._write(f"{end}== {ending}\n".encode("utf-8", "surrogateescape"))
        if self._fd >= 0:
            os.close(self._fd)
        lines = self._tail.decode("utf-8", "replace").splitlines(keepends=True)
        return "".join(lines[1:] if self._is_tail_cut else lines)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view and self._fd >= 0 and self.error is None:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self.error = error.strerror


def last_lines(text: str) -> tuple[str, ...]:
    """The last few lines of a text, each cut to a length that can be told."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return tuple(line[:_LINE_CHARACTERS] for line in lines[-_LINES:])


def _open(path: Path) -> int:
    """The file, opened for appending; a full one is renamed to `.1` first. Raises OSError."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path, flags, 0o600)
    if os.fstat(fd).st_size < FILE_BYTES:
        return fd
    os.close(fd)
    path.replace(path.with_name(f"{path.name}.1"))
    return os.open(path, flags, 0o600)

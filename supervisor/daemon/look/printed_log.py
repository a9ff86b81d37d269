"""The file that one attempt prints to, kept open: logrotate renames it, and `rm` takes its name.

A trainer that redirects its own output to another file is not followed there.
"""

import os
from pathlib import Path
from typing import BinaryIO

from supervisor.diagnosis.log_window import LogWindow, read_window


class PrintedLog:
    """The file that was `train.log` when the attempt began, known by its inode."""

    def __init__(
        self, train_log: Path, *, offset: int | None = None, inode: int | None = None
    ) -> None:
        """`offset`, `inode`: as an earlier daemon recorded them when the attempt began."""
        self.train_log = train_log
        self.offset = 0
        """Where the attempt's lines begin."""
        self._pid: int | None = None
        self._fd: int | None = None
        self._identity: tuple[int, int] | None = None
        try:
            facts = train_log.stat()
            self.offset = facts.st_size if offset is None else offset
            self._inode = facts.st_ino if offset is None else inode
        except OSError:
            self.offset, self._inode = offset or 0, inode  # no file yet: the launcher makes it
        if offset is not None:
            self._open()

    @property
    def inode(self) -> int | None:
        """The inode by which the next daemon finds it; None before the attempt has begun."""
        return None if self._identity is None else self._identity[1]

    def begin(self, pid: int) -> None:
        """The attempt's main process runs, and has the file open."""
        self._pid = pid
        if self._fd is None:
            self._open()

    def where(self) -> Path:
        """Where to read now: the name while it is this file's, else the open descriptor."""
        if self._identity is None or self._fd is None:
            return self.train_log
        if _identity(self.train_log) == self._identity or self._is_left():
            return self.train_log
        return Path(f"/proc/self/fd/{self._fd}")

    def tail(self, bytes_max: int, *, until: "PrintedLog | None" = None) -> bytes:
        """The attempt's own last bytes. `until`: the next attempt's log, perhaps in the same file.

        Raises OSError.
        """
        with self.where().open("rb") as file:
            begin, end = self._span(file, until)
            file.seek(max(begin, end - bytes_max))
            return file.read(max(end - file.tell(), 0))

    def window(self) -> LogWindow:
        """The attempt's own lines around its last step and at its end. Raises OSError."""
        with self.where().open("rb") as file:
            begin, end = self._span(file, None)
            return read_window(lambda at, count: os.pread(file.fileno(), count, at), begin, end)

    def _span(self, file: BinaryIO, until: "PrintedLog | None") -> tuple[int, int]:
        facts = os.fstat(file.fileno())
        is_ours = self._identity in {(facts.st_dev, facts.st_ino), None}
        begin = self.offset if is_ours and facts.st_size >= self.offset else 0
        end = facts.st_size
        if until is not None and until._identity == self._identity:
            end = min(end, max(until.offset, begin))
        return begin, end

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None

    def _open(self) -> None:
        found = find_log(self.train_log, self._inode, self._pid) or self.train_log
        try:
            # NONBLOCK: the path may have become a fifo.
            self._fd = os.open(found, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return  # not readable, or gone: the name is read instead
        facts = os.fstat(self._fd)
        if self._inode is not None and facts.st_ino != self._inode and self._pid is None:
            self.close()  # another file has its name, and the attempt's output is gone
            return
        if facts.st_ino != self._inode and self._inode is not None:
            self.offset = 0
        self._identity = (facts.st_dev, facts.st_ino)

    def _is_left(self) -> bool:
        """Whether the main process prints elsewhere by now, or its output may not be looked at."""
        try:
            return self._pid is not None and _must(f"/proc/{self._pid}/fd/1") != self._identity
        except FileNotFoundError:
            return False  # it has ended, or closed its output
        except OSError:
            return True


def _must(path: str) -> tuple[int, int]:
    facts = os.stat(path)  # noqa: PTH116 -- the file behind a link in /proc, named or not
    return facts.st_dev, facts.st_ino


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        return _must(str(path))
    except OSError:
        return None


def find_log(train_log: Path, inode: int | None, pid: int | None) -> Path | None:
    """Where the file with this inode is: under its name, beside it, or open in a process.

    With `inode` None, as in old records, it is `train_log`. Returns None where it is found nowhere.
    """
    if inode is None:
        return train_log
    if _inode(train_log) == inode:
        return train_log
    if pid is not None and _inode(printed := Path(f"/proc/{pid}/fd/1")) == inode:
        return printed
    try:
        with os.scandir(train_log.parent) as entries:
            beside = [e.name for e in entries if e.inode() == inode and e.is_file()]
    except OSError:
        return None
    return train_log.with_name(beside[0]) if beside else None


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None

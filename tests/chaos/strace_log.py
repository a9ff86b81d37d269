"""strace's log of a process as values: the completed calls in order, with their arguments."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

STRACE = shutil.which("strace")

# All calls that can change a disk, and those that tell which file a descriptor means.
FILE_CALLS = (
    *("open", "openat", "openat2", "creat", "close", "dup", "dup2", "dup3", "lseek"),
    *("write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "truncate", "fallocate"),
    *("sendfile", "copy_file_range", "splice", "fsync", "fdatasync", "sync_file_range", "syncfs"),
    *("sync", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat"),
    *("rmdir", "link", "linkat", "symlink", "symlinkat", "mmap", "io_uring_enter"),
)

_LINE = re.compile(r"(\d+)\s+(.*)", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\w+)(.*)", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_UNFINISHED = " <unfinished ...>"


class Call(NamedTuple):
    """One completed call.

    `began` and `ended` are the numbers of its first and last line in the log. `arguments` are
    strace's own words (`3</a/path>`, `O_RDONLY`). `result` is negative if the call failed.
    """

    thread: int
    name: str
    arguments: tuple[str, ...]
    result: int
    began: int
    ended: int


@cache
def why_not_strace() -> str | None:
    """Why nothing can be traced here; None if tracing works."""
    if STRACE is None:
        return "needs strace"
    done = subprocess.run(
        [STRACE, "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True
    )
    return None if done.returncode == 0 else f"needs strace to be allowed: {done.stderr.strip()}"


def command(log: Path, *options: str) -> list[str]:
    """The start of a command line that traces the command after it, with threads and children."""
    assert STRACE is not None
    words = [STRACE, "-f", "-y", "-xx", "-s", "67108864", "-o", str(log)]
    return [*words, "-e", f"trace={','.join(FILE_CALLS)}", "-e", "signal=none", *options]


def read_calls(log: Path) -> Iterator[Call]:
    """The calls of a log in the order of their ends. Raises ValueError for an unknown line.

    Calls that a kill left unfinished are left out.
    """
    begun: dict[int, tuple[int, str]] = {}
    with log.open() as lines:
        for number, line in enumerate(lines):
            match = _LINE.match(line.rstrip("\n"))
            if match is None:
                raise ValueError(f"not a line of strace: {line[:200]!r}")
            thread, text = int(match[1]), match[2]
            if text.startswith(("+++", "---")):
                continue
            began = number
            resumed = _RESUMED.match(text)
            if resumed is not None:
                began, head = begun.pop(thread)
                text = head + resumed[2]
            elif text.endswith(_UNFINISHED):
                begun[thread] = (number, text.removesuffix(_UNFINISHED))
                continue
            call = _CALL.match(text)
            if call is None:
                raise ValueError(f"not a call: {text[:200]!r}")
            result = -1 if call[3] == "?" else int(call[3], 0)
            yield Call(thread, call[1], tuple(split(call[2])), result, began, number)


def split(text: str) -> list[str]:
    """Split the arguments of a call at its commas; strings and paths are in hex, so have none."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    last = text[start:].strip()
    return [*parts, last] if last else parts


def unquote(word: str) -> bytes:
    """The bytes of a string that was printed with -xx."""
    match = re.fullmatch(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?', word)
    if match is None or match[2]:
        raise ValueError(f"not a whole string of -xx: {word[:80]!r}")
    return bytes.fromhex(match[1].replace("\\x", ""))


def descriptor(word: str) -> tuple[int | None, str]:
    """The number and the path of `3<\\x2f…>`; the number is None for AT_FDCWD."""
    match = re.fullmatch(r"(\d+|AT_FDCWD)(?:<(.*?)>)?(\(deleted\))?", word, re.DOTALL)
    if match is None:
        raise ValueError(f"not a descriptor: {word[:80]!r}")
    path = bytes.fromhex((match[2] or "").replace("\\x", "")) if _is_hex(match[2]) else b""
    return (None if match[1] == "AT_FDCWD" else int(match[1])), path.decode(
        errors="surrogateescape"
    )


def _is_hex(text: str | None) -> bool:
    return text is not None and re.fullmatch(r"(?:\\x[0-9a-f]{2})*", text) is not None

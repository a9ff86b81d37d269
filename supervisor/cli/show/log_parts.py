"""Finds the files, and the parts of them, that each attempt printed to, also after rotation."""

import os
from dataclasses import dataclass
from pathlib import Path

from supervisor.core.entries.attempt import AttemptStartedEntry
from supervisor.core.vocabulary import ExitCode
from supervisor.daemon.look.printed_log import find_log
from supervisor.errors import SupervisorError
from supervisor.rundir.ledger_entries import iterate_entries
from supervisor.rundir.paths import RunPaths

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LogPart:
    """A stretch of a file, in bytes; without `end` it goes on to the end of the file."""

    path: Path
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class _Printed:
    attempt: int
    offset: int
    inode: int | None


def all_parts(paths: RunPaths, pid: int | None) -> list[LogPart]:
    """Every file that an attempt printed to and that still exists, the oldest first.

    `pid`: the running trainer. Its log may have been deleted, and is then read through /proc.
    """
    found: list[Path] = []
    for printed in _attempts(paths):
        path = find_log(paths.train_log, printed.inode, pid)
        if path is not None and path not in found:
            found.append(path)
    if paths.train_log not in found and (paths.train_log.exists() or not found):
        newest_is_elsewhere = bool(found) and pid is not None and found[-1].parts[1] == "proc"
        found.insert(len(found) - newest_is_elsewhere, paths.train_log)
    return [LogPart(path) for path in found]


def newest_part(paths: RunPaths, pid: int | None) -> LogPart:
    """The file that the last attempt prints to."""
    attempts = _attempts(paths)
    inode = attempts[-1].inode if attempts else None
    return LogPart(find_log(paths.train_log, inode, pid) or paths.train_log)


def part_of(paths: RunPaths, attempt: int, pid: int | None) -> LogPart:
    """What one attempt printed.

    Raises SupervisorError where the attempt is not on record, or its output is gone.
    """
    attempts = _attempts(paths)
    mine = next((one for one in attempts if one.attempt == attempt), None)
    if mine is None:
        known = (
            f"attempts on record: 1 to {attempts[-1].attempt}"
            if attempts
            else "no attempt was started yet"
        )
        raise SupervisorError(
            f"attempt {attempt} is not on record", hint=known, code=ExitCode.USAGE
        )
    path = find_log(paths.train_log, mine.inode, pid)
    later = [one for one in attempts if one.attempt > attempt and one.inode == mine.inode]
    end = later[0].offset if later else None
    start = mine.offset
    size = _size(path)
    if path is not None and size is not None and size < start and not later:
        start = 0  # truncated while the attempt printed: all that the file holds now is its own
    if path is None or (end is not None and (end < start or (size or 0) < end)):
        raise SupervisorError(
            f"the output of attempt {attempt} no longer exists",
            hint=f"{paths.train_log} was truncated, moved or removed since then",
            code=ExitCode.USAGE,
        )
    return LogPart(path, start, end)


def last_lines(parts: list[LogPart], lines: int) -> list[LogPart]:
    """The last of these parts, cut to the last `lines` lines."""
    kept: list[LogPart] = []
    for part in reversed(parts):
        start, found = _start_of_last(part, lines)
        kept.insert(0, LogPart(part.path, start, part.end))
        lines -= found
        if lines <= 0:
            break
    return kept


def _start_of_last(part: LogPart, lines: int) -> tuple[int, int]:
    """Where the last lines of a part begin, and how many the part has, `lines` at most."""
    size = _size(part.path)
    if size is None:
        return part.start, 0
    position = end = size if part.end is None else min(part.end, size)
    if lines == 0:
        return end, 0
    found = 0
    with part.path.open("rb") as file:
        while position > part.start:
            step = min(_BLOCK_BYTES, position - part.start)
            position -= step
            file.seek(position)
            block = file.read(step)
            if position + step == end and not block.endswith(b"\n"):
                found += 1  # a last line without its end
            count = block.count(b"\n")
            if found + count <= lines:
                found += count
                continue
            # Go back one newline more than lines are missing: the wanted lines begin behind it.
            at = len(block)
            for _ in range(lines - found + 1):
                at = block.rindex(b"\n", 0, at)
            return position + at + 1, lines
    return part.start, found


def _attempts(paths: RunPaths) -> list[_Printed]:
    found: dict[int, _Printed] = {}
    for noted in iterate_entries(paths.ledger):
        match noted.entry:
            case AttemptStartedEntry(attempt=number, log_offset=int(offset), log_inode=inode):
                found[number] = _Printed(number, offset, inode)
    return sorted(found.values(), key=lambda one: one.attempt)


def _size(path: Path | None) -> int | None:
    try:
        return None if path is None else os.stat(path).st_size  # noqa: PTH116 -- /proc links too
    except OSError:
        return None

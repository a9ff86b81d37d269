"""The directories of the saves that adapters put on record; a trainer writes that file.

A training of less than a second may begin and end between two looks at the trainer's description.
"""

import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from supervisor.core.history import NamedPlace
from supervisor.rundir.described_places import as_recorded

# The newest lines: a thousand saves or more.
_TAIL_BYTES = 256 << 10


class RecordedSaves:
    """Reads the end of the file again only when it has changed."""

    def __init__(self, path: Path, run_dir: Path) -> None:
        self._path = path
        self._run_dir = run_dir
        self._seen: tuple[int, int, int] | None = None
        self._places: tuple[NamedPlace, ...] = ()

    def look(self) -> tuple[NamedPlace, ...]:
        """The directories, that of the newest save first; none where nothing can be read."""
        try:
            at = self._path.lstat()
            seen = at.st_ino, at.st_mtime_ns, at.st_size
            if seen != self._seen:
                self._places = tuple(_places(last_lines(self._path), self._run_dir))
                self._seen = seen
        except OSError:
            self._seen, self._places = None, ()
        return self._places


def merged(named: Sequence[NamedPlace], saved: Sequence[NamedPlace]) -> tuple[NamedPlace, ...]:
    """The named directories, then those that only a save tells of."""
    known = {place.path for place in named}
    return (*named, *(place for place in saved if place.path not in known))


def last_lines(path: Path, most: int = _TAIL_BYTES) -> list[bytes]:
    """The whole lines among the file's last `most` bytes. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            return []
        begin = max(facts.st_size - most, 0)
        lines = os.pread(fd, most, begin).split(b"\n")
    finally:
        os.close(fd)
    return lines[1:] if begin else lines


def _places(lines: Sequence[bytes], run_dir: Path) -> Iterator[NamedPlace]:
    told: set[str] = set()
    for line in reversed(lines):
        try:
            said: Any = json.loads(line)
        except (ValueError, RecursionError):
            continue  # cut off, or another version's
        if not isinstance(said, dict):
            continue
        checkpoint, attempt = said.get("checkpoint"), said.get("attempt")
        if not isinstance(checkpoint, str) or type(attempt) is not int:
            continue
        folder = os.path.dirname(checkpoint)  # noqa: PTH120 -- any text may stand there
        if folder.startswith("/") and folder.strip("/") and folder.isprintable():
            place = as_recorded(folder, run_dir)
            if place not in told:
                told.add(place)
                yield NamedPlace(place, attempt)

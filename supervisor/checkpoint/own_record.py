"""Reading a trainer's own record of its training: how many steps of how many it has made.

The record is read as data. Only a record that this attempt wrote counts.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.formats.tool_format import TrainingRecord
from supervisor.core.ending import OwnRecord

# Enough for a log of a million steps. A larger record is not worth the memory.
_MOST_BYTES = 64 << 20
# A file system's clock ticks less often than ours, so a new file may look a little older. A time
# without a fraction may come from FAT, whose clock ticks every 2 s.
_MARGIN_S, _WHOLE_SECONDS_S = 0.1, 2.0
_NEWEST = 3


def read_own_record(directory: Path, since_wall: float) -> OwnRecord | None:
    """Return the record of the highest step written since `since_wall`, or None.

    `since_wall` is in seconds since 1970. Among records of one step, one written at the end of
    training is preferred. A file that cannot be read is passed over.
    """
    found = [
        said
        for record in (tool.record for tool in TOOLS)
        if record is not None
        for path in _records(directory, record, since_wall)
        if (said := _read(path, record, is_output=path.parent == directory)) is not None
    ]
    return max(found, key=lambda said: (said.step, said.is_end), default=None)


def _records(directory: Path, record: TrainingRecord, since_wall: float) -> Iterator[Path]:
    yield from _fresh([directory / record.name], since_wall)
    folder = record.folder
    try:
        numbered = [
            (int(number), path)
            for path in directory.iterdir()
            if (number := path.name.removeprefix(folder)).isdigit() and number != path.name
        ]
    except OSError:
        return
    newest = sorted(numbered, reverse=True)[:_NEWEST]
    yield from _fresh([path / record.name for _, path in newest], since_wall)


def _fresh(paths: list[Path], since_wall: float) -> Iterator[Path]:
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue  # most trainers write no record
        is_whole = status.st_mtime == int(status.st_mtime)
        margin_s = _WHOLE_SECONDS_S if is_whole else _MARGIN_S
        if status.st_mtime >= since_wall - margin_s and status.st_size <= _MOST_BYTES:
            yield path


def _read(path: Path, record: TrainingRecord, *, is_output: bool) -> OwnRecord | None:
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(state, dict):
        return None
    name = record.name if is_output else f"{path.parent.name}/{record.name}"
    return record.read(name, state, is_output=is_output)

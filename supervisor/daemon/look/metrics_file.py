"""A table of metrics that the trainer's library writes: Lightning's `metrics.csv` and others.

It is read where neither a heartbeat nor the log tells how far the training is. It serves what
`status` shows; nothing may be decided by it. A table that may be another run's is not read.
"""

import csv
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from supervisor.daemon.look.observer import Observation
from supervisor.daemon.look.printed_course import NOTHING_PRINTED, Course, StepPace
from supervisor.daemon.look.progress import decimal_of
from supervisor.daemon.look.surveyor import Surveyor
from supervisor.system.clock import monotonic_s, wall_s
from supervisor.system.mounts import remote_mount

PAUSE_S = 10.0
_HEAD_BYTES = 8 << 10
_TAIL_BYTES = 16 << 10
_COLUMNS_MAX = 2000
# Folders in which a library puts its checkpoints, beside or below its table.
_CHECKPOINT_FOLDERS = frozenset({"checkpoints", "weights"})
_VERSIONS = "lightning_logs"
_VERSION = re.compile(r"version_(\d{1,9})", re.ASCII)
_NAMES_MAX = 5000
# Of very many versions only those with the highest numbers can be of this attempt.
_VERSIONS_MAX = 20


class MetricsTable(NamedTuple):
    """How one library writes its table.

    `losses` matches the names of the columns with a loss. It is their sum if they are `summed`;
    else the first that has a value counts.
    """

    tool: str
    name: str
    losses: re.Pattern[str]
    summed: bool


TABLES = (
    # lightning 2.6.6, fabric/loggers/csv_logs.py. A module's `log(on_step=True, on_epoch=True)`
    # adds `_step` and `_epoch` to the name.
    MetricsTable(
        "Lightning",
        "metrics.csv",
        re.compile(r"(?:train(?:ing)?[_/])?loss(?:_step|_epoch)?", re.IGNORECASE),
        summed=False,
    ),
    # ultralytics 8.4.190, engine/trainer.py (save_metrics). The sum of its losses is minimized.
    MetricsTable("ultralytics", "results.csv", re.compile(r"train/\w{0,20}loss"), summed=True),
)


@dataclass(frozen=True, slots=True)
class _WrittenTable:
    path: Path
    table: MetricsTable
    changed_ns: int
    size: int


class MetricsFile:
    """Follows the table of one attempt, which began at `begun_at`, monotonic seconds."""

    def __init__(self, surveyor: Surveyor, *, begun_at: float) -> None:
        self._surveyor = surveyor
        self._since_ns = round((wall_s() - max(monotonic_s() - begun_at, 0.0)) * 1e9)
        self._due_at = 0.0
        self._seen: _WrittenTable | None = None
        self._course = NOTHING_PRINTED
        self._pace = StepPace()

    def fill(self, look: Observation, pid: int | None, now: float) -> Observation:
        """The observation with what the table says, if nothing else tells how far training is."""
        if look.observed.step is not None or look.course.is_known:
            return look
        return replace(look, course=self.look(pid, now))

    def look(self, pid: int | None, now: float) -> Course:
        """What the newest table says. `pid`: the attempt's main process.

        A table may come some minutes after the first step, so it is looked for at each due time.
        """
        if now < self._due_at:
            return self._course
        self._due_at = now + PAUSE_S
        found = max(self._tables(pid), key=lambda one: one.changed_ns, default=None)
        if found is None:
            return self._course
        if found != self._seen:
            read = read_table(found.path, found.table)
            if read is not None:
                self._seen, self._course = found, read
        self._pace.note(now, self._course.step)
        self._course = self._course._replace(step_rate=self._pace.rate())
        return self._course

    def _tables(self, pid: int | None) -> Iterator[_WrittenTable]:
        """The tables that were changed since the attempt began."""
        known = self._surveyor.recorded.known()
        saved = [Path(known[-1].path).parent] if known else []
        places = dict.fromkeys(_beside(one) for one in (*self._surveyor.directories, *saved))
        for place in places:
            yield from self._tables_in(place)
        # Another run may have been started in the same place: then it is not known whose is whose.
        workplace = [] if pid is None else self._workplace(pid)
        versions = [
            table
            for place in dict.fromkeys((*workplace, *places))
            for folder in _versions_in(place)
            for table in self._tables_in(folder)
        ]
        if len({table.path.parent for table in versions}) == 1:
            yield from versions

    def _workplace(self, pid: int) -> list[Path]:
        """Where the trainer works, unless that may block: a server that no longer answers.

        The mounts of the checkpoints' directories are looked at in any case.
        """
        looked_at = {remote_mount(one.absolute()) for one in self._surveyor.directories}
        return [
            place
            for place in _working_directory(pid)
            if remote_mount(place) in {None, *looked_at}
            and remote_mount(_led_to(place / _VERSIONS)) in {None, *looked_at}
        ]

    def _tables_in(self, folder: Path) -> Iterator[_WrittenTable]:
        for table in TABLES:
            path = folder / table.name
            try:
                facts = path.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(facts.st_mode) and facts.st_mtime_ns >= self._since_ns:
                yield _WrittenTable(path, table, facts.st_mtime_ns, facts.st_size)


def _beside(folder: Path) -> Path:
    """Where a library that saves into this folder puts its table."""
    return folder.parent if folder.name in _CHECKPOINT_FOLDERS else folder


def _working_directory(pid: int) -> list[Path]:
    try:
        return [Path(f"/proc/{pid}/cwd").readlink()]
    except OSError:
        return []


def _led_to(folder: Path) -> Path:
    """Where a link leads, without a look at what is there."""
    try:
        return Path(os.path.normpath(folder.parent / folder.readlink()))
    except OSError:
        return folder


def _versions_in(place: Path) -> list[Path]:
    numbers: list[tuple[int, str]] = []
    try:
        with os.scandir(place / _VERSIONS) as entries:
            for count, entry in enumerate(entries):
                if count >= _NAMES_MAX:
                    return []
                version = _VERSION.fullmatch(entry.name)
                if version is not None:
                    numbers.append((int(version[1]), entry.name))
    except OSError:
        return []
    newest = sorted(numbers)[-_VERSIONS_MAX:]
    return [place / _VERSIONS / name for _, name in newest]


def read_table(path: Path, table: MetricsTable) -> Course | None:
    """What the last whole lines of a table say; None if it cannot be read, or says nothing."""
    try:
        head, tail = _ends(path)
    except OSError:
        return None
    if not head.endswith("\n"):
        return None
    try:
        columns = [name.strip() for name in next(csv.reader([head]), [])]
    except csv.Error:  # such as a CR inside the line
        return None
    if not columns or len(columns) > _COLUMNS_MAX:
        return None
    rows = [row for row in _rows(tail) if len(row) == len(columns) and row[0] != columns[0]]
    return _newest(columns, rows, table)


def _ends(path: Path) -> tuple[str, str]:
    """The first line, and the whole lines at the end. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        head = os.pread(fd, _HEAD_BYTES, 0).split(b"\n", 1)
        begin = max(len(head[0]) + 1, size - _TAIL_BYTES)
        tail = os.pread(fd, _TAIL_BYTES, begin)
    finally:
        os.close(fd)
    # The last line may be half written, and the first one cut. A cut one has too few values, or is
    # a whole one with its first value cut: it is left out.
    ended = tail[: tail.rfind(b"\n") + 1]
    if begin > len(head[0]) + 1:
        ended = ended[ended.find(b"\n") + 1 :]
    first = head[0] + (b"\n" if len(head) > 1 else b"")
    return first.decode("utf-8", "replace"), ended.decode("utf-8", "replace")


def _rows(text: str) -> list[list[str]]:
    try:
        return [[value.strip() for value in row] for row in csv.reader(text.splitlines())]
    except csv.Error:
        return []


def _newest(
    columns: Sequence[str], rows: Sequence[Sequence[str]], table: MetricsTable
) -> Course | None:
    def last(column: str) -> float | None:
        if column not in columns:
            return None
        place = columns.index(column)
        return next(
            (v for row in reversed(rows) if (v := decimal_of(row[place])) is not None), None
        )

    losses = [place for place, column in enumerate(columns) if table.losses.fullmatch(column)]
    step, epoch = _count(last("step")), _count(last("epoch"))
    if step is None and epoch is None:
        return None
    return Course(step=step, epoch=epoch, loss=_loss(losses, rows, table), file=table.name)


def _loss(
    places: Sequence[int], rows: Sequence[Sequence[str]], table: MetricsTable
) -> float | None:
    for row in reversed(rows):
        values = [v for place in places if (v := decimal_of(row[place])) is not None]
        if table.summed and values and len(values) == len(places):
            return round(sum(values), 6)
        if not table.summed and values:
            return values[0]
    return None


def _count(value: float | None) -> int | None:
    return int(value) if value is not None and 0 <= value < 1e15 else None

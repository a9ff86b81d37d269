"""Which run wrote a checkpoint, where several have saved into one directory.

Each run's trainer puts its saves on record, with the time of the checkpoint's files. The runs that
are compared are those whose run directories lie side by side, as below `runs/`.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.rundir.paths import RunPaths
from supervisor.rundir.recorded_saves import last_lines
from supervisor.system.mounts import remote_mount_points

_TAIL_BYTES = 1 << 20
_MOST_RUNS = 200
# A record has the newest time of all files and of the folder, a listing that of the files.
_MARGIN_S = 2.0


@dataclass(frozen=True, slots=True)
class SaveWriters:
    """Times of recorded saves by the checkpoint's resolved path, of this run and of others."""

    mine: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    """With the run directory of the run that wrote last."""

    def is_mine(self, path: Path, mtime: float) -> bool | None:
        """Whether this run wrote a checkpoint as it is now; None if no record tells."""
        if not self.others:
            return None
        place = _real(path)
        mine, (other, _) = self.mine.get(place), self.others.get(place, (None, ""))
        of_mine = _distance(mine, mtime)
        of_other = _distance(other, mtime)
        if min(of_mine, of_other) <= _MARGIN_S:
            return of_mine <= of_other
        folder = os.path.dirname(place)  # noqa: PTH120
        if folder in _folders(self.mine) and folder in _folders(self.others):
            return False  # both put their saves on record, and this is none of ours
        return None

    def other_of(self, path: Path, mtime: float) -> str | None:
        """The run directory of the run that wrote over this run's checkpoint; None: none did."""
        if self.is_mine(path, mtime) is not False:
            return None
        place = _real(path)
        said = self.others.get(place)
        folder = os.path.dirname(place)  # noqa: PTH120
        there = (run for one, (_, run) in self.others.items() if one.rpartition("/")[0] == folder)
        return said[1] if said is not None else next(there, None)


def read_writers(run_dir: Path) -> SaveWriters:
    """The saves on record of a run, and of the runs beside it. Never raises."""
    mine = dict(recorded_times(run_dir))
    others: dict[str, tuple[float, str]] = {}
    for other in runs_beside(run_dir):
        for path, when in recorded_times(other):
            if path not in others or others[path][0] < when:
                others[path] = (when, str(other))
    folders = _folders(mine)
    return SaveWriters(
        mine, {p: one for p, one in others.items() if p.rpartition("/")[0] in folders or not mine}
    )


def runs_beside(run_dir: Path) -> Sequence[Path]:
    """The run directories beside one, itself left out; none where they cannot be listed."""
    own = os.path.realpath(run_dir)
    try:
        with os.scandir(Path(own).parent) as entries:
            found = sorted(one.path for one in entries if not one.name.startswith("."))
    except OSError:
        return ()
    # A mounted file server may not answer, and would then keep this process.
    passed = {own, *map(str, remote_mount_points())}
    there = (Path(one) for one in found if one not in passed)
    return [one for one in there if RunPaths(one).state_dir.is_dir()][:_MOST_RUNS]


def recorded_times(run_dir: Path) -> Iterator[tuple[str, float]]:
    """Each recorded save: its resolved path, and when its files were written. Never raises."""
    for line in _lines(RunPaths(run_dir).trainings):
        try:
            said: Any = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(said, dict):
            continue
        path, when = said.get("checkpoint"), said.get("changed")
        when = said.get("wall") if when is None else when
        if isinstance(path, str) and path.startswith("/") and isinstance(when, int | float):
            yield path, float(when)


def _lines(path: Path) -> list[bytes]:
    try:
        return last_lines(path, _TAIL_BYTES)
    except OSError:
        return []


def _folders(paths: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(path.rpartition("/")[0] for path in paths)


def _distance(recorded: float | None, mtime: float) -> float:
    return float("inf") if recorded is None else abs(recorded - mtime)


def _real(path: Path) -> str:
    return os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118

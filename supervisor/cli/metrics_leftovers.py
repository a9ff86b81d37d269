"""The metrics files that runs left behind when they ended."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from supervisor.cli.metrics_directory import remove, sizes
from supervisor.cli.record import read_record
from supervisor.cli.registry import registered_directories
from supervisor.cli.target import is_run, runs_below
from supervisor.rundir.metrics_path import metrics_path
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status

# A person is still waited for: the file keeps the alert up.
_WAITS = frozenset({"held", "stuck"})


@dataclass(frozen=True, slots=True)
class MetricsLeftover:
    """The metrics file of one run that has ended; `state` is the run's last one."""

    path: Path
    run_dir: Path
    bytes: int
    state: str

    @property
    def loses_nothing(self) -> bool:
        """Whether no alert is lost with it."""
        return self.state not in _WAITS

    def as_json(self) -> dict[str, Any]:
        """What `supervisor clean --json` shows of it."""
        return {
            "path": str(self.path),
            "run_dir": str(self.run_dir),
            "bytes": self.bytes,
            "worth": "metrics",
            "reason": self.state,
        }

    def remove(self) -> bool:
        """Remove it; False if the run lives again. Raises OSError."""
        if read_record(self.run_dir).live:
            return False
        remove(self.path)
        return True


@dataclass(frozen=True, slots=True)
class MetricsFound:
    """The files that were found, and what could not be looked at."""

    leftovers: tuple[MetricsLeftover, ...]
    unseen: tuple[Path, ...]
    """Run directories whose metrics could not be looked at."""
    reasons: tuple[str, ...]
    """Why not, once for each directory of metrics."""


def find_metrics(names: tuple[str, ...]) -> MetricsFound:
    """The files of runs that have ended: of these run directories, else of all runs known here."""
    named = [Path(name).absolute() for name in names]
    places = [path for path in named if is_run(path)] if names else _known()
    by_directory: dict[Path, dict[Path, MetricsLeftover]] = {}
    for run_dir in places:
        with suppress(OSError, ValueError, KeyError, TypeError):  # a run without metrics, or no run
            if (one := _expected_of(run_dir)) is not None:
                by_directory.setdefault(one.path.parent, {})[one.path] = one
    found: list[MetricsLeftover] = []
    unseen: list[Path] = []
    reasons: list[str] = []
    for expected in by_directory.values():
        try:
            there = sizes(list(expected))
        except OSError as error:
            unseen += [one.run_dir for one in expected.values()]
            reasons.append(str(error))
            continue
        for one, size in zip(expected.values(), there, strict=True):
            if size is not None:
                found.append(replace(one, bytes=size))
    found.sort(key=lambda one: one.path)
    return MetricsFound(tuple(found), tuple(unseen), tuple(reasons))


def _known() -> Iterator[Path]:
    yield from registered_directories()
    yield from runs_below(Path.cwd())


def _expected_of(run_dir: Path) -> MetricsLeftover | None:
    """The file as a run that has ended leaves it; whether it is there is not known yet."""
    paths = RunPaths(run_dir)
    directory = json.loads(paths.config.read_bytes())["metrics"]["textfile"]
    status = read_status(paths.status)
    if status is None or status.run is None or status.run_id is None or read_record(run_dir).live:
        return None
    path = metrics_path(directory, status.run, status.run_id)
    return MetricsLeftover(path, run_dir, 0, str(status.state))

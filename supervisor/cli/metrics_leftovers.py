"""The metrics files that runs left behind when they ended."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        self.path.unlink(missing_ok=True)
        return True


def find_metrics(names: tuple[str, ...]) -> list[MetricsLeftover]:
    """The files of runs that have ended: of these run directories, else of all runs known here."""
    named = [Path(name).absolute() for name in names]
    places = [path for path in named if is_run(path)] if names else _known()
    found = {}
    for run_dir in places:
        with suppress(OSError, ValueError, KeyError, TypeError):  # no such file, or no run's
            if (one := _left_by(run_dir)) is not None:
                found[one.path] = one
    return sorted(found.values(), key=lambda one: one.path)


def _known() -> Iterator[Path]:
    yield from registered_directories()
    yield from runs_below(Path.cwd())


def _left_by(run_dir: Path) -> MetricsLeftover | None:
    paths = RunPaths(run_dir)
    directory = json.loads(paths.config.read_bytes())["metrics"]["textfile"]
    status = read_status(paths.status)
    if status is None or status.run is None or status.run_id is None or read_record(run_dir).live:
        return None
    path = metrics_path(directory, status.run, status.run_id)
    return MetricsLeftover(path, run_dir, path.stat().st_size, str(status.state))

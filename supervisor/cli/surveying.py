"""What a command asks of a run's checkpoints: what the daemon would, from the files alone."""

import json
from pathlib import Path
from typing import Any, Literal

from supervisor.checkpoint.pins import pinned
from supervisor.checkpoint.records import SurveyRequest
from supervisor.cli.record import read_history, read_record
from supervisor.cli.runtime_place import snapshot_root
from supervisor.config.model import RunConfig
from supervisor.daemon.surveyor import memory_of, recorded_of
from supervisor.lock import is_held
from supervisor.paths import RunPaths

Existing = Literal["use", "ignore"] | None


def request_of(run_dir: Path) -> SurveyRequest:
    """A survey of both tiers; what the ledger remembers unchanged is not read again. OSError."""
    paths = RunPaths(run_dir)
    directory, existing, pattern = settings(paths)
    quiet = not read_record(run_dir).live
    return _request(paths, directory, existing, pattern, quiet=quiet, thorough=True)


def request_for(paths: RunPaths, config: RunConfig) -> SurveyRequest:
    """What a start of this (resolved) configuration would look at, as far as it decides."""
    directory = Path(config.checkpoints.directory or paths.run_dir)
    existing, pattern = config.resume.existing, config.checkpoints.pattern
    quiet = not is_held(paths)
    return _request(paths, directory, existing, pattern, quiet=quiet, thorough=False)


def _request(
    paths: RunPaths,
    directory: Path,
    existing: Existing,
    pattern: str | None,
    *,
    quiet: bool,
    thorough: bool,
) -> SurveyRequest:
    history, entries = read_history(paths)
    return SurveyRequest(
        directory=directory,
        run_id=history.run_id,
        memory=memory_of(entries),
        existing=existing,
        quiet=quiet,
        pins=pinned(paths.pins),
        first_attempt_wall=history.first_attempt_wall,
        thorough=thorough,
        pattern=pattern,
        snapshots=snapshot_root(paths, history.run_id),
        known=recorded_of(entries).known(),
        begun_wall=history.begun_wall,
        attempt_wall=history.attempt_wall,
        ended_wall=history.ended_wall,
    )


def settings(paths: RunPaths) -> tuple[Path, Existing, str | None]:
    """Where the run's checkpoints are, what was decided about those of others, their names."""
    try:
        config: dict[str, Any] = json.loads(paths.config.read_bytes())
        section = config["checkpoints"]
        existing = config["resume"].get("existing")
        directory, home = Path(section["directory"]), Path(config["run_dir"])
        if directory.is_relative_to(home):
            # A run directory that was moved or copied has its checkpoints with it.
            directory = paths.run_dir / directory.relative_to(home)
        return directory, existing, section.get("pattern")
    except (OSError, ValueError, KeyError, TypeError):
        # Never started with this version, or moved away from its configuration.
        return paths.run_dir, None, None

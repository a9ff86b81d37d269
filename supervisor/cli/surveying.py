"""What a command asks of a run's checkpoints: what the daemon would, from the files alone."""

import json
from pathlib import Path
from typing import Any, Literal

from supervisor.checkpoint.pins import pinned
from supervisor.checkpoint.records import SurveyRequest
from supervisor.cli.record import read_history, read_record
from supervisor.cli.runtime_place import snapshot_root
from supervisor.daemon.surveyor import memory_of
from supervisor.paths import RunPaths

Existing = Literal["use", "ignore"] | None


def request_of(run_dir: Path) -> SurveyRequest:
    """A survey of both tiers; what the ledger remembers unchanged is not read again. OSError."""
    paths = RunPaths(run_dir)
    history, entries = read_history(paths)
    directory, existing, pattern = settings(paths)
    return SurveyRequest(
        directory=directory,
        run_id=history.run_id,
        memory=memory_of(entries),
        existing=existing,
        quiet=not read_record(run_dir).live,
        pins=pinned(paths.pins),
        first_attempt_wall=history.first_attempt_wall,
        pattern=pattern,
        snapshots=snapshot_root(paths, history.run_id),
        set_aside=paths.set_aside,
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

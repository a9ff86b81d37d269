"""Makes the core's event of a trainer's description: its paths as they are recorded."""

import os
from dataclasses import replace
from pathlib import Path

from supervisor.config.model import RunConfig
from supervisor.core.trainer_description import Described, TrainerDescription
from supervisor.rundir.described_places import as_recorded


def described_event(
    attempt: int,
    said: TrainerDescription,
    config: RunConfig,
    run_dir: Path,
    *,
    has_attached: bool = False,
) -> Described:
    """The event; it names the configured checkpoint directory if the trainer saves elsewhere."""
    directory, configured, best = said.directory, config.configured_directory, said.best
    if directory is not None and configured is not None and not _is_same(directory, configured):
        return Described(attempt, said, configured, has_attached)
    recorded = replace(
        said,
        directory=None if directory is None else as_recorded(directory, run_dir),
        best=None if best is None else as_recorded(best, run_dir),
    )
    return Described(attempt, recorded, has_attached=has_attached)


def _is_same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)

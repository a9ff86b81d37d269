"""The request for one snapshot, and what the snapshot's record says of its writer."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from supervisor.checkpoint.format import FORMAT, MANIFEST, TRAINING_STATE, Kind, is_safe_name
from supervisor.memory.seal import Snapshot
from supervisor.worker import Worker


class ConfigurationError(ValueError):
    """Checkpoints would go where the supervisor does not look for them."""


class SaveRequest(NamedTuple):
    """`small`: files beside the states, by name. `before`: files that must be durable first."""

    step: int
    epoch: int
    kind: Kind
    name: str
    small: dict[str, bytes]
    before: tuple[str, ...]
    is_wanted: bool


def make_request(
    step: int,
    epoch: int,
    kind: Kind | str,
    name: str | None,
    state: Mapping[str, Any] | None,
    files: Mapping[str, bytes] | None,
    before: Sequence[Path | str],
    *,
    is_wanted: bool,
) -> SaveRequest:
    """Check and complete the arguments of a snapshot or save. Raises ValueError, TypeError."""
    name = f"checkpoint-{step}" if name is None else name
    if not is_safe_name(name) or "/" in name or name.startswith("."):
        raise ValueError(f"{name!r} cannot be the name of a checkpoint")
    small = dict(files or {})
    for file in small:
        if not is_safe_name(file) or file in (MANIFEST, TRAINING_STATE) or file.endswith(".pt"):
            raise ValueError(f"{file!r} cannot be the name of a file beside the states")
    told = {"format": FORMAT, "global_step": step, "current_epoch": epoch, **(state or {})}
    if (told["format"], told["global_step"], told["current_epoch"]) != (FORMAT, step, epoch):
        raise ValueError(f"{TRAINING_STATE} would contradict step {step}, epoch {epoch}")
    small[TRAINING_STATE] = json.dumps(told, indent=2).encode() + b"\n"
    files_before = tuple(os.path.abspath(file) for file in before)  # noqa: PTH100 - as they are
    return SaveRequest(step, epoch, Kind(kind), name, small, files_before, is_wanted)


class Writer(NamedTuple):
    """The run and attempt that write, and where checkpoints go."""

    directory: Path
    run_id: str | None
    attempt: int | None
    resumed_from: str | None
    snapshot_dir: Path | None

    def record(self, request: SaveRequest, size: int) -> Snapshot:
        """What a seal says of this snapshot, taken now."""
        return Snapshot(
            name=request.name,
            directory=str(self.directory),
            step=request.step,
            epoch=request.epoch,
            kind=request.kind.value,
            run_id=self.run_id,
            attempt=self.attempt,
            resumed_from=self.resumed_from,
            world_size=int(os.environ.get("WORLD_SIZE") or 1),
            torch_version=str(torch.__version__),
            is_wanted=request.is_wanted,
            before=request.before,
            bytes=size,
            written=time.time(),
        )


def writer_of(directory: Path | str, run: Worker | None, resumed_from: str | None) -> Writer:
    """The writer in this process; without a `run` the environment tells the same.

    Raises ConfigurationError.
    """
    if run is not None:
        run_id, attempt, snapshot_dir = run.run_id, run.attempt, run.snapshot_dir
        resumed = run.resume_from
    else:
        run_id = os.environ.get("SUPERVISOR_RUN_ID") or None
        number = os.environ.get("SUPERVISOR_ATTEMPT", "")
        attempt = int(number) if number.isdecimal() else None
        snapshot_dir = _path("SUPERVISOR_SNAPSHOT_DIR")
        resumed = _path("SUPERVISOR_RESUME_FROM")
    looked_at = _path("SUPERVISOR_CHECKPOINT_DIR")
    if resumed_from is None and resumed is not None:
        resumed_from = resumed.name
    # absolute, but links are kept: the user may change them
    where = Path(os.path.abspath(directory))  # noqa: PTH100
    if looked_at is not None and where.resolve() != looked_at.resolve():
        raise ConfigurationError(
            f"the supervisor's configuration needs `checkpoints: {{directory: {directory}}}`:"
            f" the supervisor looks into {looked_at}, and would train from nothing over the"
            f" checkpoints in {where}"
        )
    return Writer(where, run_id, attempt, resumed_from, snapshot_dir)


def _path(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None

"""What `supervisor check` says of the free space, with the checkpoints that exist."""

import shutil
from pathlib import Path

import pytest

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.cli.preflight.finding import Level
from supervisor.cli.preflight.findings import space
from supervisor.config.model import RunConfig
from supervisor.core.vocabulary import Tier


def checkpoint(directory: Path, step: int, share: float, *, valid: bool = True) -> CheckpointEntry:
    """A checkpoint as large as this share of what is free on the disk."""
    return CheckpointEntry(
        path=directory / f"checkpoint-{step}", name=f"checkpoint-{step}", step=step, epoch=None,
        kind="periodic", bytes=int(shutil.disk_usage(directory).free * share), valid=valid,
        proof=None, reason=None, fingerprint="", hashes={}, ours=True, own_run=True,
        candidate=True, finite=None, mtime=0.0, remembered=False, rememberable=True,
        tier=Tier.DISK, pinned=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("keep", "shares", "level", "hint"),
    [
        (3, [], Level.OK, None),
        (3, [0.2], Level.OK, None),
        (3, [0.4], Level.WARN, "keep fewer"),
        (3, [0.4, 0.4, 0.4], Level.OK, None),
        (3, [0.4, 0.4, 0.4, 0.4, 0.4], Level.OK, None),
        (1, [0.7], Level.OK, None),
        (2, [0.7], Level.WARN, "keep fewer"),
        (3, [1.5, 1.5, 1.5], Level.FAIL, "the next checkpoint does not fit"),
        (None, [0.4, 0.4, 0.4], Level.WARN, "keep fewer"),
    ],
)
def test_existing_checkpoints_take_no_more_space(
    tmp_path: Path, keep: int | None, shares: list[float], level: Level, hint: str | None
) -> None:
    """Free space has to take what is still to come: `keep` and one more, less what exists."""
    config = RunConfig.model_validate({"command": ["true"], "checkpoints": {"keep": keep}})
    there = [checkpoint(tmp_path, 100 - at, share) for at, share in enumerate(shares)]
    found = space(there, config, tmp_path)
    assert found.level is level, found.text
    assert (hint or "") in (found.do or "")


def test_what_is_no_whole_checkpoint_saves_no_space(tmp_path: Path) -> None:
    """Incomplete ones are not counted as existing: two whole checkpoints have to fit."""
    config = RunConfig.model_validate({"command": ["true"], "checkpoints": {"keep": 1}})
    found = space([checkpoint(tmp_path, 1, 0.7, valid=False)], config, tmp_path)
    assert found.level is Level.FAIL
    assert "two checkpoints do not fit" in (found.do or "")

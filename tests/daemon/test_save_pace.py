"""How often an attempt saves, from what surveys find of its checkpoints."""

from dataclasses import replace
from pathlib import Path

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.core.vocabulary import Tier
from supervisor.daemon.look.save_pace import SavePace, Saves

ENTRY = CheckpointEntry(
    path=Path("/out/checkpoint-100"), name="checkpoint-100", step=100, epoch=None, kind="periodic",
    bytes=1, valid=True, proof="structure", reason=None, fingerprint="f", hashes={}, ours=False,
    own_run=True, candidate=True, finite=None, mtime=1000.0, remembered=False, rememberable=True,
    tier=Tier.DISK, pinned=False,
)  # fmt: skip


def saved(step: int, at: float, **more: object) -> CheckpointEntry:
    """A checkpoint of this step, written at this time."""
    return replace(ENTRY, name=f"checkpoint-{step}", step=step, mtime=at, **more)  # type: ignore[arg-type]


def test_three_saves_tell_the_interval() -> None:
    """Two saves may be the first and the last of an epoch; the median counts."""
    pace = SavePace()
    pace.note([saved(100, 1000.0), saved(200, 1060.0)], since=900.0)
    assert pace.has_any
    assert pace.saves == Saves()
    pace.note([saved(100, 1000.0), saved(200, 1060.0), saved(300, 1121.0)], since=900.0)
    assert pace.saves == Saves(60.5, 100)


def test_saves_that_the_trainer_removed_count() -> None:
    """With `save_total_limit=1` one checkpoint is there at a time."""
    pace = SavePace()
    for number in range(1, 5):
        pace.note([saved(10 * number, 1000.0 + 30 * number)], since=900.0)
    assert pace.saves == Saves(30.0, 10)


def test_one_file_that_is_written_again() -> None:
    """nanoGPT's `ckpt.pt` has no step in its name; its time alone changes."""
    pace = SavePace()
    for number in range(3):
        one = replace(ENTRY, name="ckpt.pt", step=None, mtime=1000.0 + 20 * number)
        pace.note([one, one], since=900.0)
    assert pace.saves == Saves(20.0, None)


def test_what_is_no_save_of_this_attempt() -> None:
    """Saves of before, of others, damaged ones, by-products and snapshots tell nothing."""
    pace = SavePace()
    pace.note(
        [
            saved(1, 800.0), saved(2, 1000.0, own_run=False), saved(3, 1001.0, valid=False),
            saved(4, 1002.0, candidate=False), saved(5, 1003.0, tier=Tier.MEMORY),
        ],
        since=900.0,
    )  # fmt: skip
    assert not pace.has_any

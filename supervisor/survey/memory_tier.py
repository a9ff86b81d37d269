"""The memory tier in a survey: the run's sealed snapshots, each with its verdict."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.checkpoint.records import NOT_FINITE, CheckpointEntry
from supervisor.core.vocabulary import Tier
from supervisor.survey.request import SurveyRequest

if TYPE_CHECKING:
    from supervisor.memory.slots import Whole
    from supervisor.memory.snapshot_proof import SlotVerdict

NOT_VETTED = "not checked yet: the persister does that while training goes on"


def find_snapshots(request: SurveyRequest) -> list[CheckpointEntry]:
    """The run's snapshots as checkpoints, newest first. Raises nothing for anything in a slot.

    If no writer is alive (`quiet`), snapshots without a verdict are vetted here and now. The
    verdict is kept in the slot. A slot that changes meanwhile is left out.
    """
    if request.snapshots is None or request.run_id is None:
        return []
    from supervisor.memory.slots import read_whole  # only runs with a memory tier need it

    entries = (
        _entry(request, whole)
        for whole in read_whole(request.snapshots)
        if whole.snapshot.run_id == request.run_id
    )
    return [entry for entry in entries if entry is not None]


def merge(
    on_disk: list[CheckpointEntry], in_memory: Iterable[CheckpointEntry], durable: set[int]
) -> list[CheckpointEntry]:
    """Both tiers in one order, newest first.

    `durable`: the steps of which the disk has a resumable checkpoint. At such a step the checkpoint
    on the disk comes first. The page cache loads it as fast, no snapshot has to be rescued
    afterwards, and the slot is free. At any other step the snapshot comes first: with it the
    relaunch is soonest.
    """
    merged = list(on_disk)
    for entry in in_memory:
        at = len(merged)
        for index, other in enumerate(merged):
            if other.tier == Tier.DISK and _is_before(entry.step or 0, other.step, durable):
                at = index
                break
        merged.insert(at, entry)
    return merged


def _is_before(step: int, other: int | None, durable: set[int]) -> bool:
    """Whether a snapshot of step `step` comes before a disk checkpoint of step `other`."""
    return other is not None and (step > other or (step == other and step not in durable))


def _entry(request: SurveyRequest, whole: "Whole") -> CheckpointEntry | None:
    """A snapshot as a checkpoint; None if its slot changed while it was looked at."""
    from supervisor.memory.snapshot_proof import vet

    verdict = _kept(whole)
    if verdict is None and request.quiet:
        verdict = vet(whole)
        if verdict is None:
            return None
    snapshot = whole.snapshot
    reason: str | None = NOT_VETTED
    if verdict is not None:
        reason = verdict.problem or (NOT_FINITE if verdict.finite is False else None)
    return CheckpointEntry(
        path=Path(whole.path),
        name=snapshot.name,
        step=snapshot.step,
        epoch=snapshot.epoch,
        kind=snapshot.kind,
        bytes=snapshot.bytes,
        valid=None if verdict is None else verdict.problem is None,
        proof=None if verdict is None else "structure",
        reason=reason,
        fingerprint="",
        hashes={},
        ours=True,
        own_run=True,
        candidate=True,
        finite=None if verdict is None else verdict.finite,
        mtime=snapshot.written,
        remembered=False,
        rememberable=False,
        tier=Tier.MEMORY,
        pinned=False,
    )


def _kept(whole: "Whole") -> "SlotVerdict | None":
    """The verdict kept in the slot; None without one. If the files are damaged, it says that."""
    from supervisor.memory.snapshot_proof import SlotVerdict, read_verdict
    from supervisor.memory.stream import list_files_of

    verdict = read_verdict(whole)
    if verdict is None:
        return None
    try:
        list_files_of(whole)
    except ValueError as error:
        return SlotVerdict(None, None, str(error))
    except OSError as error:
        return SlotVerdict(None, None, f"cannot be read: {error.strerror or error}")
    return verdict

"""What the persister has to do next, judged from the slots and its board. It changes nothing."""

from collections.abc import Collection, Sequence
from pathlib import Path

from supervisor.memory.persister_status import PersisterRecord, Result
from supervisor.memory.slots import Whole
from supervisor.memory.snapshot_proof import read_verdict


def next_wanted(wholes: Sequence[Whole], board: PersisterRecord) -> Whole | None:
    """The newest snapshot that is wanted on the disk and was not tried.

    `wholes` are newest first. Older ones are dropped once a newer one is on the disk, unless the
    newer one's weights are not finite.
    """
    for whole in wholes:
        result = _result_of(whole, board)
        if result is not None and result.ok and result.finite is not False:
            return None
        if result is None and whole.snapshot.is_wanted:
            return whole
    return None


def next_unvetted(wholes: Sequence[Whole], vetted: Collection[int]) -> Whole | None:
    """The newest snapshot without a verdict; `vetted` are sequences whose verdict was not kept."""
    for whole in wholes:
        if whole.sequence not in vetted and read_verdict(whole) is None:
            return whole
    return None


def rescue_order(wholes: Sequence[Whole]) -> list[Whole]:
    """The snapshots newest first, and after them those that are known to be bad."""
    return sorted(wholes, key=_is_known_bad)


def newer_on_disk(whole: Whole, board: PersisterRecord) -> Result | None:
    """The result of a newer snapshot that was persisted, if its checkpoint is still there."""
    for result in reversed(board.results):
        is_newer = result.sequence > whole.sequence and result.step >= whole.snapshot.step
        if is_newer and result.ok and result.finite is not False and result.path is not None:
            return result if Path(result.path).is_dir() else None
    return None


def _result_of(whole: Whole, board: PersisterRecord) -> Result | None:
    for result in reversed(board.results):
        if (result.sequence, result.name) == (whole.sequence, whole.snapshot.name):
            return result
    return None


def _is_known_bad(whole: Whole) -> bool:
    verdict = read_verdict(whole)
    return verdict is not None and (verdict.finite is False or verdict.problem is not None)

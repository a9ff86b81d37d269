"""What the ledger says of a run's valid checkpoints since it last began from nothing.

A survey compares the record with the disk. A checkpoint on record that is not on the disk was lost:
the run must not begin from nothing as if it had none.
"""

from supervisor.checkpoint.records import NOT_FINITE, Known
from supervisor.core.entries.attempt import AttemptStartedEntry, Source
from supervisor.core.entries.decision import BeginAgainEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.saves import (
    CheckpointPlaceEntry,
    CheckpointRemovedEntry,
    CheckpointSeenEntry,
    CheckpointVerdictEntry,
)
from supervisor.core.vocabulary import Tier

# The supervisor's own removals: another valid checkpoint was at hand, or this one was bad.
_REMOVED_BY_US = frozenset({"pruned", "invalid", "superseded"})


class Recorded:
    """The valid checkpoints on record; fed with ledger entries in their order."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self.mount: str | None = None
        """The mount point that held them when they were last seen."""

    def known(self) -> tuple[Known, ...]:
        """The checkpoints that ought to be on the disk, oldest record first."""
        return tuple(self._known.values())

    def note(self, entry: Entry, wall: float) -> None:
        """Take in one entry, written at `wall` seconds since 1970."""
        match entry:
            case CheckpointVerdictEntry():
                self._note_verdict(entry, wall)
            case CheckpointSeenEntry(path=path, step=step):
                self._known.setdefault(path, Known(path, "", step, wall, False))
            case CheckpointPlaceEntry():
                self.mount = entry.mount
            case CheckpointRemovedEntry():
                self._note_removal(entry.path, entry.why)
            case AttemptStartedEntry():
                self._note_start(entry.checkpoint, wall)
            case BeginAgainEntry():
                self._known.clear()
                self.mount = None

    def _note_verdict(self, entry: CheckpointVerdictEntry, wall: float) -> None:
        path = entry.path
        before = self._known.pop(path, None)
        is_one = entry.valid and entry.reason != NOT_FINITE
        # Another run's checkpoint counts once this run has resumed from it.
        if is_one and (entry.own_run or before is not None):
            # A proven checkpoint replaces those only seen: a trainer may have removed them since.
            self._known = {path: one for path, one in self._known.items() if one.is_proven}
            self._known[path] = Known(path, entry.fingerprint or "", entry.step, wall)

    def _note_removal(self, path: str, why: str | None) -> None:
        known = self._known.pop(path, None)
        if known is not None and why not in _REMOVED_BY_US and not self._known:
            # A trainer's rotation leaves another checkpoint. With no other, this one is missing.
            self._known[path] = known

    def _note_start(self, source: Source | None, wall: float) -> None:
        if source is None:
            self._known.clear()
            return
        path = source.path
        if source.tier == Tier.DISK and path not in self._known:
            self._known[path] = Known(path, "", source.step, wall)

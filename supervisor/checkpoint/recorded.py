"""What the ledger says of a run's valid checkpoints since it last began from nothing.

A survey holds it against the disk: what is on record and not there was lost, and is no fresh start.
"""

from collections.abc import Mapping
from typing import Any

from supervisor.checkpoint.records import NOT_FINITE, Known
from supervisor.core.vocabulary import Tier

# These took it away themselves, with another valid one at hand or because it was bad.
_REMOVED_BY_US = frozenset({"pruned", "invalid", "superseded"})


class Recorded:
    """The valid checkpoints on record; fed with ledger entries in their order."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self.mount: str | None = None
        """The mount point that held them when they were last seen."""

    def known(self) -> tuple[Known, ...]:
        """Those that ought to be on the disk, oldest record first."""
        return tuple(self._known.values())

    def note(self, entry: Mapping[str, Any], wall: float) -> None:
        """Take in one entry, written at `wall` seconds since 1970."""
        match entry.get("type"):
            case "checkpoint":
                self._note_verdict(entry, wall)
            case "checkpoint_seen":
                path = str(entry["path"])
                self._known.setdefault(path, Known(path, "", entry.get("step"), wall, False))
            case "checkpoint_place":
                self.mount = entry.get("mount")
            case "checkpoint_removed":
                self._note_removal(str(entry.get("path")), str(entry.get("why")))
            case "attempt_started":
                self._note_start(entry.get("checkpoint"), wall)
            case "begin_again":
                self._known.clear()

    def _note_verdict(self, entry: Mapping[str, Any], wall: float) -> None:
        path = str(entry["path"])
        before = self._known.pop(path, None)
        is_one = bool(entry.get("valid")) and entry.get("reason") != NOT_FINITE
        # One of another run counts from when this run resumed from it.
        if is_one and (entry.get("own_run", True) or before is not None):
            # What was only seen does not matter any more: a trainer may have removed it since.
            self._known = {path: one for path, one in self._known.items() if one.is_proven}
            self._known[path] = Known(path, str(entry["fingerprint"]), entry.get("step"), wall)

    def _note_removal(self, path: str, why: str) -> None:
        known = self._known.pop(path, None)
        if known is not None and why not in _REMOVED_BY_US and not self._known:
            # A trainer's rotation leaves another one; without one this is what is missing.
            self._known[path] = known

    def _note_start(self, source: Mapping[str, Any] | None, wall: float) -> None:
        if source is None:
            self._known.clear()
            return
        path = str(source["path"])
        if source.get("tier", Tier.DISK) == Tier.DISK and path not in self._known:
            self._known[path] = Known(path, "", source.get("step"), wall)

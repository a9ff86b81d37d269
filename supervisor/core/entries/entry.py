"""What all entries of the ledger have in common, whatever their kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from supervisor.core.json_object import JsonObject
from supervisor.core.point_in_time import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(JsonObject):
    """One thing that happened. A subclass names its kind: `class ReloadedEntry(Entry, kind=…)`."""

    kind: ClassVar[str] = ""

    def __init_subclass__(cls, kind: str = "") -> None:
        # `slots=True` makes each class a second time, without the argument.
        cls.kind = kind or cls.kind

    def to_json(self) -> dict[str, Any]:
        """As it stands in the ledger, without its time."""
        # By name: `slots=True` has made the class anew, and `super()` would mean the first one.
        return {"type": self.kind, **JsonObject.to_json(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEntry(Entry):
    """An entry of a kind, or with values, that another version writes."""

    record: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As it was read."""
        return dict(self.record)


@dataclass(frozen=True, slots=True)
class Stamped:
    """An entry with the time at which it was written down."""

    entry: Entry
    wall: float = 0.0
    """Seconds since 1970; 0 where that is not known."""
    monotonic: float | None = None
    """Seconds of the boot in which the last daemon began."""

    def moment(self, boot: str | None) -> Moment:
        """When that was, by a daemon of this boot."""
        return Moment(self.wall, self.monotonic, boot)

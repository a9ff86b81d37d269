"""Dataclasses as JSON and back, of what a process of another version may have written."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

JsonRecord = TypeVar("JsonRecord")


def read_record(
    kind: type[JsonRecord], record: Mapping[str, Any], **readers: Callable[[Any], Any]
) -> JsonRecord:
    """A dataclass from its fields as JSON values; `readers` make a field of what is not null.

    A daemon lives through an upgrade of what its children are started from. So a field that only
    the other version has is passed over, and one that the other version lacks has its default.
    Raises KeyError, TypeError, also for a field without a default.
    """
    # Only typeshed has a name for the type of all dataclasses.
    names = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    said = {name: record[name] for name in names if name in record}
    for name, reader in readers.items():
        if said.get(name) is not None:
            said[name] = reader(said[name])
    return kind(**said)


def plain(value: Any) -> dict[str, Any]:
    """A dataclass's fields as JSON values, one level deep (`asdict` would copy all hashes)."""
    record: dict[str, Any] = {}
    for one in fields(value):
        content = getattr(value, one.name)
        match content:
            case Path():
                content = str(content)
            case frozenset():
                content = sorted(content)
            case Mapping():
                content = dict(content)
        record[one.name] = content
    return record

"""Dataclasses to JSON and back, where a process of another version may have written the JSON."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

JsonRecord = TypeVar("JsonRecord")


def read_record(
    kind: type[JsonRecord], record: Mapping[str, Any], **readers: Callable[[Any], Any]
) -> JsonRecord:
    """A dataclass from its fields as JSON values; `readers` convert a field that is not null.

    A daemon may live through an upgrade, and its later children then run the new version. So a
    field that this version does not know is ignored, and a missing field gets its default. Raises
    KeyError, and TypeError, also for a missing field without a default.
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

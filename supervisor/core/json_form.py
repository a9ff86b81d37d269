"""Dataclasses as JSON objects and back. A value that does not fit counts as absent."""

from dataclasses import MISSING, fields
from functools import cache, partial
from typing import Any, ClassVar, Protocol, TypeVar

from supervisor.core.json_values import SCALARS, FieldTypes, MisfitError, Reader, Ways, plain, read


class AnyDataclass(Protocol):
    """Any dataclass. Its module must not defer annotations: the field types are looked at."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


R = TypeVar("R", bound=AnyDataclass)


def to_json(record: AnyDataclass) -> dict[str, Any]:
    """The fields in their order. A tuple becomes a list, an enumeration's member its text."""
    body = {}
    for name in _names(type(record)):
        value = getattr(record, name)
        # Most fields are plain, and need no call: a status is written every second.
        is_plain = value is None or type(value) in SCALARS
        body[name] = value if is_plain else plain(value, to_json)
    return body


def from_json(kind: type[R], data: object) -> R | None:
    """The record that a JSON object stands for, or None. It never raises.

    A field that is missing or of another type gets its default. If it has no default, there is no
    record. Keys that the record does not know are passed over.
    """
    try:
        return _record(kind, data) if isinstance(data, dict) else None
    except MisfitError:
        return None


def _record(kind: type[R], data: dict[str, Any]) -> R:
    found = {}
    for name, ways, is_required in _plan(kind):
        try:
            if name in data:
                found[name] = read(ways, data[name])
                continue
        except MisfitError:
            pass
        if is_required:
            raise MisfitError(name)
    return kind(**found)


@cache
def _names(kind: type[AnyDataclass]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _plan(kind: type[AnyDataclass]) -> tuple[tuple[str, Ways, bool], ...]:
    """Of each field: its name, how it is read, and whether it has no default."""
    return tuple(
        (
            field.name,
            _TYPES.ways(field.type),
            field.default is MISSING and field.default_factory is MISSING,
        )
        for field in fields(kind)
    )


def _reader(kind: type[AnyDataclass]) -> Reader:
    return partial(_record, kind)


_TYPES = FieldTypes(_reader, drop_misfits=True)

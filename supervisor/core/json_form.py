"""Dataclasses as JSON objects and back: what does not fit is as if absent, and nothing raises."""

from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from types import GenericAlias, UnionType
from typing import Any, ClassVar, Protocol, TypeVar

# NaN is not below it, nor infinity, nor a whole number that no float can hold.
_LARGEST = 1e300
_MISFIT = object()


class AnyDataclass(Protocol):
    """Any dataclass, of a module that does not defer annotations: the types are looked at."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


R = TypeVar("R", bound=AnyDataclass)


def to_json(record: AnyDataclass) -> dict[str, Any]:
    """The fields in their order; a tuple is a list, a member of an enumeration its text."""
    return {field.name: _plain(getattr(record, field.name)) for field in fields(record)}


def from_json(kind: type[R], data: object) -> R | None:
    """The record that an object of JSON stands for; None where it is none.

    A field that is missing or of another type has its default; without a default there is no
    record. Keys that the record does not know are passed over.
    """
    if not isinstance(data, dict):
        return None
    found = {}
    for field in fields(kind):
        value = _fitting(field.type, data[field.name]) if field.name in data else _MISFIT
        if value is not _MISFIT:
            found[field.name] = value
        elif field.default is MISSING and field.default_factory is MISSING:
            return None
    return kind(**found)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, StrEnum) else value


def _fitting(wanted: Any, value: Any) -> Any:
    """A value of JSON as the type of a field wants it, or `_MISFIT`."""
    if isinstance(wanted, UnionType):
        tried = (_fitting(one, value) for one in wanted.__args__)
        return next((one for one in tried if one is not _MISFIT), _MISFIT)
    if isinstance(wanted, GenericAlias):
        return _fitting_tuple(wanted.__args__, value)
    if isinstance(wanted, type) and is_dataclass(wanted):
        record = from_json(wanted, value)
        return _MISFIT if record is None else record
    if issubclass(wanted, StrEnum):
        try:
            return wanted(value) if isinstance(value, str) else _MISFIT
        except ValueError:
            return _MISFIT
    if wanted is float or wanted is int:
        kinds = (int, float) if wanted is float else int
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        return value if is_number and -_LARGEST < value < _LARGEST else _MISFIT
    return value if isinstance(value, wanted) else _MISFIT


def _fitting_tuple(wanted: tuple[Any, ...], value: Any) -> Any:
    """A list as a tuple: of any length without its misfits, or of exactly these types."""
    if not isinstance(value, list):
        return _MISFIT
    if wanted[-1] is ...:
        return tuple(one for item in value if (one := _fitting(wanted[0], item)) is not _MISFIT)
    if len(value) != len(wanted):
        return _MISFIT
    items = tuple(_fitting(one, item) for one, item in zip(wanted, value, strict=True))
    return _MISFIT if any(item is _MISFIT for item in items) else items

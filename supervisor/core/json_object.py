"""Dataclasses that stand for JSON objects on record, of this version and of any other.

A record of another version keeps its keys, their order, and words that are not known here.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from operator import attrgetter, methodcaller
from types import MappingProxyType
from typing import Any, Self, TypeVar

from supervisor.core.json_values import FieldTypes, MisfitError, Ways, plain, read

T = TypeVar("T")

KEY, LEFT_OUT = "key", "left_out"
_ABSENT: Any = object()
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_TYPES = FieldTypes(attrgetter("from_json"))
_to_json = methodcaller("to_json")


def left_out(default: T) -> T:
    """A field that is left out of the record while it has this default."""
    said: T = field(default=default, metadata={LEFT_OUT: True})
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonObject:
    """A JSON object: the fields of a subclass are its keys, in this order.

    A key that is missing on record has the field's default. Types are built of numbers, text,
    enums, tuples, mappings, and other such classes.
    """

    extra: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, compare=False, repr=False)
    """The values of keys that are not known here."""
    keys: tuple[str, ...] | None = field(default=None, compare=False, repr=False)
    """The keys on record, in their order. None: they are those of the fields."""

    def has(self, key: str) -> bool:
        """Whether the key stands on record."""
        return self.keys is None or key in self.keys

    def without(self, *keys: str) -> Self:
        """The same object, without these keys on record."""
        left = tuple(key for key in self.keys or self._written() if key not in keys)
        return replace(self, keys=left)

    def _written(self) -> tuple[str, ...]:
        """The keys that stand on record where `keys` does not say it."""
        written = _plan(type(self)).written
        return tuple(key for key, name, default in written if getattr(self, name) != default)

    def to_json(self) -> dict[str, Any]:
        """The object as it is written to the record."""
        plan = _plan(type(self))
        if self.keys is None:
            return {
                key: plain(value, _to_json)
                for key, name, default in plan.written
                if (value := getattr(self, name)) != default
            }
        names = plan.names
        return {
            key: plain(getattr(self, names[key]), _to_json) if key in names else self.extra[key]
            for key in self.keys
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`, also of another version's. Raises MisfitError."""
        plan = _plan(cls)
        values: dict[str, Any] = {}
        for key, name, ways in plan.read:
            value = record.get(key, _ABSENT)
            if value is not _ABSENT:
                values[name] = read(ways, value)
            elif name in plan.required:
                raise MisfitError(key)
        keys = tuple(record)
        if keys != plan.keys:
            values["keys"] = _shared(keys)
            if len(values) <= len(keys):
                values["extra"] = {key: record[key] for key in keys if key not in plan.names}
        return cls(**values)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a class is read and written, worked out once."""

    keys: tuple[str, ...]
    """The keys that every object of this version has."""
    names: Mapping[str, str]
    """The field name of each key."""
    read: tuple[tuple[str, str, Ways], ...]
    written: tuple[tuple[str, str, Any], ...]
    """Key, field name, and the value for which the key is left out."""
    required: frozenset[str]


_PLANS: dict[type, _Plan] = {}


def _plan(cls: type[JsonObject]) -> _Plan:
    known = _PLANS.get(cls)
    if known is None:
        known = _PLANS[cls] = _planned(cls)
    return known


def _planned(cls: type[JsonObject]) -> _Plan:
    base = {one.name for one in fields(JsonObject)}
    own = [one for one in fields(cls) if one.name not in base]
    names = {str(one.metadata.get(KEY, one.name)): one for one in own}
    return _Plan(
        keys=tuple(key for key, one in names.items() if LEFT_OUT not in one.metadata),
        names={key: one.name for key, one in names.items()},
        read=tuple((key, one.name, _TYPES.ways(one.type)) for key, one in names.items()),
        written=tuple(
            (key, one.name, one.default if LEFT_OUT in one.metadata else _ABSENT)
            for key, one in names.items()
        ),
        required=frozenset(
            one.name for one in own if one.default is MISSING and one.default_factory is MISSING
        ),
    )


@cache
def _shared(keys: tuple[str, ...]) -> tuple[str, ...]:
    """One tuple for all records with the same keys: a ledger of weeks has few such sets."""
    return keys

"""Dataclasses that stand for JSON objects on record, of this version and of any other.

What another version wrote stays as it is: its keys, their order, and words that are not known here.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import Enum
from functools import cache, partial
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Self, TypeVar, Union, get_args, get_origin

T = TypeVar("T")
Reader = Callable[[Any], Any]
Ways = Mapping[type, Reader | None]
"""How a value is read, by its type in JSON; None: it is taken as it is."""

KEY, LEFT_OUT = "key", "left_out"
# NaN is not below it, nor infinity, nor a whole number that no float can hold.
_LARGEST = 1e300
_ABSENT: Any = object()
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_EVERYTHING: Ways = dict.fromkeys((str, int, float, bool, list, dict, NoneType))


class MisfitError(Exception):
    """A record that does not fit the type: another version, or nobody, wrote it."""


def left_out(default: T) -> T:
    """A field that does not stand on record while it has its default."""
    said: T = field(default=default, metadata={LEFT_OUT: True})
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonObject:
    """The fields of a subclass are the object's keys, in this order; a default stands for none.

    A type may be built of numbers, text, enums, tuples, mappings, and other such classes.
    """

    extra: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, compare=False, repr=False)
    """What stands under keys that are not known here."""
    keys: tuple[str, ...] | None = field(default=None, compare=False, repr=False)
    """The keys on record, in their order, where they are not just those of the fields."""

    def has(self, key: str) -> bool:
        """Whether the key stands on record."""
        return self.keys is None or key in self.keys

    def without(self, *keys: str) -> Self:
        """The same, these keys not on record."""
        left = tuple(key for key in self.keys or _plan(type(self)).keys if key not in keys)
        return replace(self, keys=left)

    def to_json(self) -> dict[str, Any]:
        """As it stands on record."""
        plan = _plan(type(self))
        if self.keys is None:
            return {
                key: _plain(value)
                for key, name, default in plan.written
                if (value := getattr(self, name)) != default
            }
        names = plan.names
        return {
            key: _plain(getattr(self, names[key])) if key in names else self.extra[key]
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
                reader = ways.get(type(value), _misfit)
                values[name] = value if reader is None else reader(value)
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
    """What is to be known of a class, looked up once."""

    keys: tuple[str, ...]
    """Those that every object of this version has."""
    names: Mapping[str, str]
    """The field of a key."""
    read: tuple[tuple[str, str, Ways], ...]
    written: tuple[tuple[str, str, Any], ...]
    """Key, field, and the value with which it is left out."""
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
        read=tuple((key, one.name, _ways(one.type)) for key, one in names.items()),
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
    """One tuple for all records of a shape: a ledger of weeks has few."""
    return keys


def _ways(kind: Any) -> Ways:
    """How a field of this type is read."""
    of = get_args(kind)
    match get_origin(kind):
        case origin if origin in (Union, UnionType):
            return _any_of([_ways(one) for one in of])
        case origin if origin is tuple and of[1:] == (...,):
            return {list: partial(_all, _ways(of[0]))}
        case origin if origin is tuple:
            return {list: partial(_each, [_ways(one) for one in of])}
        case origin if origin is Mapping:
            return {dict: partial(_values, _ways(of[1]))}
    if kind is Any:
        return _EVERYTHING
    if kind is float or kind is int:
        return {float: _number, int: _number} if kind is float else {int: _number}
    if issubclass(kind, Enum):
        return {str: partial(_word, kind)}
    return {dict: kind.from_json} if issubclass(kind, JsonObject) else {kind: None}


def _any_of(kinds: list[Ways]) -> Ways:
    """The first of two that take the same JSON type is tried first."""
    found: dict[type, Reader | None] = {}
    for ways in kinds:
        for told, reader in ways.items():
            before = found.setdefault(told, reader)
            if before is not None and before is not reader:
                found[told] = partial(_either, before, reader)
    return found


def _read(ways: Ways, value: Any) -> Any:
    reader = ways.get(type(value), _misfit)
    return value if reader is None else reader(value)


def _either(first: Reader, second: Reader | None, value: Any) -> Any:
    try:
        return first(value)
    except MisfitError:
        return value if second is None else second(value)


def _all(ways: Ways, values: list[Any]) -> tuple[Any, ...]:
    return tuple([_read(ways, value) for value in values])


def _each(kinds: list[Ways], values: list[Any]) -> tuple[Any, ...]:
    if len(values) != len(kinds):
        raise MisfitError(values)
    return tuple([_read(ways, value) for ways, value in zip(kinds, values, strict=True)])


def _values(ways: Ways, values: dict[str, Any]) -> Mapping[str, Any]:
    return {key: _read(ways, value) for key, value in values.items()}


def _word(kind: type[Enum], value: str) -> Enum:
    known: Mapping[Any, Any] = kind._value2member_map_
    if value in known:
        return known[value]  # type: ignore[no-any-return]
    try:
        return kind(value)  # the vocabulary keeps a word of another version
    except ValueError:
        raise MisfitError(value) from None


def _number(value: float) -> float:
    if not -_LARGEST < value < _LARGEST:
        raise MisfitError(value)
    return value


def _misfit(value: Any) -> Any:
    raise MisfitError(value)


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case JsonObject():
            return value.to_json()
        case tuple() | list():
            return [_plain(one) for one in value]
        case Mapping():
            return {key: _plain(one) for key, one in value.items()}
        case _:
            return value

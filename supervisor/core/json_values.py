"""Turns JSON values into the types of a dataclass's fields, and back."""

from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

Reader = Callable[[Any], Any]
Ways = Mapping[type, Reader | None]
"""The reader for each JSON type. None: the value is taken as it is."""

SCALARS = frozenset({str, int, float, bool})
# A comparison to it refuses NaN, infinity, and whole numbers that no float can hold.
_LARGEST = 1e300
_EVERYTHING: Ways = dict.fromkeys((*SCALARS, list, dict, NoneType))


class MisfitError(Exception):
    """A value that does not fit the field's type: another version, or no version, wrote it."""


def read(ways: Ways, value: Any) -> Any:
    """The value in the type of its field. Raises MisfitError."""
    reader = ways.get(type(value), misfit)
    return value if reader is None else reader(value)


def misfit(value: Any) -> Any:
    """The reader for JSON types that the field does not take. Raises MisfitError."""
    raise MisfitError(value)


class FieldTypes:
    """The types that a field may have: numbers, text, enums, tuples, mappings, and classes."""

    def __init__(self, of_class: Callable[[Any], Reader], *, drop_misfits: bool = False) -> None:
        """`of_class` makes the reader of an object of that class.

        With `drop_misfits` a list is read without the items that do not fit.
        """
        self._of_class = of_class
        self._all = _those_that_fit if drop_misfits else _all

    def ways(self, kind: Any) -> Ways:
        """How a field of this type is read."""
        of = get_args(kind)
        match get_origin(kind):
            case origin if origin in (Union, UnionType):
                return _any_of([self.ways(one) for one in of])
            case origin if origin is tuple and of[1:] == (...,):
                return {list: partial(self._all, self.ways(of[0]))}
            case origin if origin is tuple:
                return {list: partial(_each, [self.ways(one) for one in of])}
            case origin if origin is Mapping:
                return {dict: partial(_values, self.ways(of[1]))}
        if kind is Any:
            return _EVERYTHING
        if kind is float or kind is int:
            return {float: _number, int: _number} if kind is float else {int: _number}
        if issubclass(kind, Enum):
            return {str: partial(_word, kind)}
        return {kind: None} if kind in _EVERYTHING else {dict: self._of_class(kind)}


def plain(value: Any, of_class: Callable[[Any], Any]) -> Any:
    """The value as JSON has it; `of_class` turns an instance of a class into its object."""
    if value is None or type(value) in SCALARS:
        return value
    match value:
        case Enum():
            return value.value
        case str() | int() | float():
            return value
        case tuple() | list():
            return [plain(one, of_class) for one in value]
        case Mapping():
            return {key: plain(one, of_class) for key, one in value.items()}
        case _:
            return of_class(value)


def _any_of(kinds: list[Ways]) -> Ways:
    """How a union is read. If two members take the same JSON type, the first is tried first."""
    found: dict[type, Reader | None] = {}
    for ways in kinds:
        for told, reader in ways.items():
            before = found.setdefault(told, reader)
            if before is not None and before is not reader:
                found[told] = partial(_either, before, reader)
    return found


def _either(first: Reader, second: Reader | None, value: Any) -> Any:
    try:
        return first(value)
    except MisfitError:
        return value if second is None else second(value)


def _all(ways: Ways, values: list[Any]) -> tuple[Any, ...]:
    return tuple([read(ways, value) for value in values])


def _those_that_fit(ways: Ways, values: list[Any]) -> tuple[Any, ...]:
    found = []
    for value in values:
        try:
            found.append(read(ways, value))
        except MisfitError:
            continue
    return tuple(found)


def _each(kinds: list[Ways], values: list[Any]) -> tuple[Any, ...]:
    if len(values) != len(kinds):
        raise MisfitError(values)
    return tuple([read(ways, value) for ways, value in zip(kinds, values, strict=True)])


def _values(ways: Ways, values: dict[str, Any]) -> Mapping[str, Any]:
    return {key: read(ways, value) for key, value in values.items()}


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

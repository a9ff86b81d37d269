"""The base class of messages: named fields, made into JSON objects and back by their annotations.

A type checker takes messages for frozen dataclasses. Real dataclasses would cost the launcher
0.9 MB, and 30 ms at each start of the launcher and of the daemon.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_):
        """Return a decorator that changes nothing: only a type checker reads it."""
        return lambda cls: cls


_EXACT = {"bool": bool, "int": int, "str": str}
_SHOWN_CHARS = 80


class UnfitError(Exception):
    """A JSON object does not fit the kind of message that it names; the text says why."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Message:
    """Base of the messages between launcher and daemon, and of their parts.

    `key` and `kind` are the first pair of its JSON object. A part has no such pair, nor has a
    message within another message.
    """

    key: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    fields: ClassVar[dict[str, str]] = {}
    """The fields' annotations by name, in the order in which the fields are written."""

    def __init_subclass__(cls, kind: str = "") -> None:
        """Make fields of the annotations, after the fields of the base."""
        cls.kind = kind
        cls.fields = {**cls.fields, **cls.__annotations__}

    def __init__(self, **values: Any) -> None:
        """Take the fields by name. Raises TypeError, as for a function's arguments."""
        missing = [name for name in self.fields if name not in values and not self._has(name)]
        if missing or not values.keys() <= self.fields.keys():
            raise TypeError(f"{type(self).__name__}: {missing} are missing in {sorted(values)}")
        self.__dict__.update(values)

    @classmethod
    def _has(cls, name: str) -> bool:
        """Tell whether a field has a default: it is the class's attribute."""
        return hasattr(cls, name)

    def __setattr__(self, name: str, value: object) -> None:
        """Raise AttributeError: a message does not change."""
        raise AttributeError(f"{type(self).__name__}.{name} cannot be set")

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same kind of message with the same fields."""
        if not isinstance(other, Message) or type(other) is not type(self):
            return NotImplemented
        return self.values() == other.values()

    def __repr__(self) -> str:
        """Return the call that would make it."""
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.values().items())})"

    def values(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.fields}

    def changed(self, **values: Any) -> Self:
        """Return a message with other values for some fields. Raises TypeError."""
        return type(self)(**self.values() | values)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        told = {self.key: self.kind} if self.kind else {}
        return told | {name: _plain(value) for name, value in self.values().items()}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Return the message. Raises UnfitError.

        A field that is null or missing has its default. An unknown field is passed over.
        """
        values = {}
        for name, annotation in cls.fields.items():
            if told.get(name) is not None:
                values[name] = _read(cls, name, annotation, told[name])
            elif not cls._has(name):
                raise UnfitError(f"it has no {name!r}")
        return cls(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return {name: _plain(part) for name, part in value.values().items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _read(cls: type[Message], name: str, annotation: str, value: Any) -> Any:
    """Return a field's value. Raises UnfitError where the annotation allows no such value."""
    for kind in annotation.removesuffix(" | None").split(" | "):
        if kind in _EXACT:
            if type(value) is _EXACT[kind]:
                return value
        elif kind == "float":
            if type(value) in (int, float):
                return float(value)
        elif kind.startswith("tuple["):
            part = kind.removeprefix("tuple[").removesuffix(", ...]")
            if isinstance(value, list):
                return tuple(_read(cls, name, part, one) for one in value)
        elif kind.startswith("dict["):
            is_any = kind == "dict[str, Any]"
            if isinstance(value, dict) and (is_any or all(type(v) is str for v in value.values())):
                return value
        elif isinstance(value, dict):
            within: type[Message] = getattr(sys.modules[cls.__module__], kind)
            return within.from_json(value)
    shown = repr(value)[:_SHOWN_CHARS]
    raise UnfitError(f"its {name!r} is {shown}")

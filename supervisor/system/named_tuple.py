"""`typing.NamedTuple` for processes that have no room for `typing`, which costs them a megabyte.

Type checkers are shown the real one:

    TYPE_CHECKING = False
    if TYPE_CHECKING:
        from typing import NamedTuple
    else:
        from supervisor.system.named_tuple import NamedTuple
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _NamedTupleMeta(type):
    """Makes a named tuple of a class body: its annotated names, their defaults, its methods."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
        if not bases:
            return super().__new__(cls, name, bases, body)
        names = body.pop("__annotations__")
        defaults = [body.pop(field) for field in names if field in body]
        fields = namedtuple(name, names, defaults=defaults)  # type: ignore[misc]
        return type(name, (fields,), {"__slots__": (), **body})


class NamedTuple(metaclass=_NamedTupleMeta):
    """The base class to derive from, as from `typing.NamedTuple`."""

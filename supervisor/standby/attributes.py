"""The attributes of modules and classes at one moment, kept so that comparing many is quick.

It runs inside the trainer, like `interpreter.py`. All values are in one list: thousands of copied
dictionaries would make the garbage collector look at all that the program has.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any

_HEAP_TYPE = 1 << 9  # Include/object.h: a class that was made at run time, and can be changed
_FUNCTIONS = (type(os.fsencode), type(len))
# Many scripts replace these, and only what is printed depends on them.
_OF_OUTPUT = frozenset({("builtins", "print"), ("sys", "stdout"), ("sys", "stderr")})
_MODULES_OF_OUTPUT = frozenset({"warnings", "traceback", "logging"})
_MISSING = object()


def quietly(name: str) -> "Any":
    """A module that is loaded or built in, else None; sys.modules stays as it was."""
    if name in sys.modules or name not in sys.builtin_module_names:
        return sys.modules.get(name)
    module = __import__(name)
    del sys.modules[name]
    return module


_is = quietly("_operator").is_


class Attributes:
    """The attributes of modules, and of the classes that they define."""

    def __init__(self) -> None:
        self._owners: list[Any] = []
        self._ends = [0]
        self._names: list[str] = []
        self._values: list[Any] = []
        # By module: how many names it had, and the classes that it defines.
        self._classes: dict[str, tuple[int, list[type]]] = {}

    def forget(self) -> None:
        """Forget all attributes, but not which classes a module defines."""
        self._owners, self._ends, self._names, self._values = [], [0], [], []

    def add(self, name: str, module: "ModuleType") -> None:
        """Add a module as it is now."""
        if name in _MODULES_OF_OUTPUT:
            return
        namespace = dict_of(module)
        self._add(module, namespace)
        known = self._classes.get(name)
        if known is None or known[0] != len(namespace):
            found = [
                value
                for value in list(namespace.values())
                if issubclass(type(value), type)
                and value.__flags__ & _HEAP_TYPE
                and home_of(value) == name
            ]
            known = self._classes[name] = (len(namespace), found)
        for found_class in known[1]:
            self._add(found_class, vars(found_class))

    def _add(self, owner: object, namespace: "Any") -> None:
        self._names.extend(namespace)
        self._values.extend(namespace.values())
        if len(self._names) != len(self._values):
            raise RuntimeError(f"another thread changes {owner!r}")
        self._owners.append(owner)
        self._ends.append(len(self._values))

    def changed(self) -> "Iterator[str]":
        """Yield dotted names of callables that were replaced, removed, or are another package's."""
        for i, owner in enumerate(self._owners):
            begin, end = self._ends[i], self._ends[i + 1]
            is_class = issubclass(type(owner), type)
            now = vars(owner) if is_class else dict_of(owner)
            before = self._values[begin:end]
            if len(now) == end - begin and all(map(_is, now.values(), before)):
                continue
            module = str(home_of(owner)) if is_class else str(now.get("__name__"))
            dotted = f"{module}.{owner.__qualname__}" if is_class else module
            then = dict(zip(self._names[begin:end], before))  # noqa: B905 -- Python 3.9
            for name in _changed(now, then, module):
                if (module, name) not in _OF_OUTPUT:
                    yield f"{dotted}.{name}"


def _changed(now: "Any", then: "dict[str, Any]", module: str) -> "Iterator[str]":
    for name, value in list(now.items()):
        before = then.get(name, _MISSING)
        if before is value:
            continue
        if before is _MISSING:
            # A lazy module adds names to itself, which are of its own package.
            if _is_lively(value) and _top(home_of(value)) != _top(module):
                yield name
        elif _is_lively(before):
            yield name
    for name, before in then.items():
        if name not in now and _is_lively(before):
            yield name


def _is_lively(value: object) -> bool:
    """Whether it is a value that programs replace: a callable, not a counter or a cache."""
    return callable(value) and not isinstance(value, type(sys))


def home_of(value: "Any") -> object:
    """The module of a class or a function, else of the value's type; no proxy's code is run."""
    kind = type(value)
    if issubclass(kind, type):
        return type.__getattribute__(value, "__module__")
    return value.__module__ if kind in _FUNCTIONS else kind.__module__


def dict_of(module: object) -> "dict[str, Any]":
    """The namespace of a module, read without waking a lazy module. Raises AttributeError."""
    found: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return found


def _top(name: object) -> str:
    return name.partition(".")[0] if isinstance(name, str) else ""

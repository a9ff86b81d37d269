"""The names of modules and classes as they were, kept so that comparing many takes little.

It runs inside the trainer, as `interpreter.py`. All values lie in one list: thousands of copied
dictionaries would have the garbage collector look at all that the program has.
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
# Only what is printed depends on them, and many scripts change them.
_OF_OUTPUT = frozenset({("builtins", "print"), ("sys", "stdout"), ("sys", "stderr")})
_MODULES_OF_OUTPUT = frozenset({"warnings", "traceback", "logging"})
_MISSING = object()


def quietly(name: str) -> "Any":
    """A module that is built in, with sys.modules as it was; None where it is not built in."""
    if name in sys.modules or name not in sys.builtin_module_names:
        return sys.modules.get(name)
    module = __import__(name)
    del sys.modules[name]
    return module


_is = quietly("_operator").is_


class Attributes:
    """What stood in modules, and in the classes that they define."""

    def __init__(self) -> None:
        self._owners: list[Any] = []
        self._ends = [0]
        self._names: list[str] = []
        self._values: list[Any] = []
        # Of each module how many names it had, and the classes among them.
        self._classes: dict[str, tuple[int, list[type]]] = {}

    def forget(self) -> None:
        """Begin anew; which names are classes is known on."""
        self._owners, self._ends, self._names, self._values = [], [0], [], []

    def add(self, name: str, module: "ModuleType") -> None:
        """Take a module as it is now."""
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
        """Dotted names of what can be called and was replaced, removed, or came from elsewhere."""
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
            # Lazy modules fill themselves in, with what is their own.
            if _is_lively(value) and _top(home_of(value)) != _top(module):
                yield name
        elif _is_lively(before):
            yield name
    for name, before in then.items():
        if name not in now and _is_lively(before):
            yield name


def _is_lively(value: object) -> bool:
    """Whether a value is one of those that programs replace: what is counted or cached is not."""
    return callable(value) and not isinstance(value, type(sys))


def home_of(value: "Any") -> object:
    """The module of a class or a function, else of its kind; it asks no proxy anything."""
    kind = type(value)
    if issubclass(kind, type):
        return type.__getattribute__(value, "__module__")
    return value.__module__ if kind in _FUNCTIONS else kind.__module__


def dict_of(module: object) -> "dict[str, Any]":
    """The names of a module, without waking a lazy one. Raises AttributeError."""
    found: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return found


def _top(name: object) -> str:
    return name.partition(".")[0] if isinstance(name, str) else ""

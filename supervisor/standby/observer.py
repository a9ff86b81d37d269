"""Follows a cold trainer's imports, and notes what the program changed before it imports a package.

It sits in sys.meta_path until the first step, finds nothing itself, and must never fail an import.
If it cannot follow an import, it notes that, and the next launch is cold.
"""

import os
import posix  # not what the program may have put into `os`
import sys

from supervisor.standby.attributes import dict_of
from supervisor.standby.digests import digest
from supervisor.standby.interpreter import BESIDES, Interpreter
from supervisor.worker.imports.origins import INSTALLED, OWN, Origins, is_ours, origin_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType, ModuleType
    from typing import Any

_ModuleSpec: "Any" = type(sys.__spec__)
_OWN_PREFIX = "SUPERVISOR_"
_MOST_CHANGES = 8


class ImportObserver:
    """A finder that sees every import of a program, and calls `write` whenever there is news."""

    # The first beat finds the observer by this attribute: it may be of another version.
    _is_import_observer = True

    def __init__(self, write: "Callable[[dict[str, object]], None]") -> None:
        """`write` takes all facts known so far; it is called at once, too."""
        self._write = write
        self._pid = posix.getpid()
        self._origins = Origins()
        self._compared: dict[str, bool] = {}
        self._interpreter = Interpreter(self, self._is_compared)
        self._environ = dict(os.environ)
        self._pending: Any = None
        self._is_pending_late = False
        self.changes: list[tuple[str, str]] = []
        self.environment: dict[str, str | None] = {}
        self.late_environment: dict[str, str | None] = {}
        self.packages: list[str] = []
        self.spoiled: str | None = None
        self._besides = {what: read() for what, read in BESIDES.items()}
        self.besides: list[str] = []
        self._written = self._news()
        self._write(self.facts())

    def facts(self) -> "dict[str, Any]":
        """Return what it has seen, in the form of the record."""
        return {
            "changes": self.changes,
            "environment": self.environment,
            "late_environment": self.late_environment,
            "besides": self.besides,
            "packages": self.packages,
            "spoiled": self.spoiled,
        }

    def end(self) -> None:
        """Leave sys.meta_path."""
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "Any":
        """Return what the other finders find, and follow it if the program imports it."""
        if posix.getpid() != self._pid:
            return None  # in a forked child
        if self._pending is not None and self._is_within():
            if name == "torch":
                self._note_package(name)
            return None
        if self.spoiled is not None or sys._getframe(2).f_code.co_name != "_find_and_load_unlocked":
            return None  # the program only asks, by importlib.util.find_spec
        spec = self._found(name, path, target)
        if spec is None or is_ours(name):
            return spec
        try:
            self._on_import(name, spec)
        except Exception as error:
            self._spoil(f"{type(error).__name__} at the import of {name}: {error}")
        return spec

    def _found(self, name: str, path: "Sequence[str] | None", target: "ModuleType | None") -> "Any":
        """Return what the finders after this one find. Their exceptions pass unchanged."""
        after = False
        for finder in list(sys.meta_path):
            if after:
                find = getattr(finder, "find_spec", None)
                if find is None:
                    self._spoil(f"{finder!r} finds modules without find_spec, in the old way")
                    return None
                if (spec := find(name, path, target)) is not None:
                    return spec
            after = after or finder is self
        return None

    def _on_import(self, name: str, spec: "Any") -> None:
        kind = self._origins.kind_of(origin_of(spec))
        if kind == OWN:
            return
        self._is_pending_late = False
        if kind == INSTALLED:
            self._is_pending_late = self._is_late(sys._getframe(2))
            self._compare(name, weak=self._is_pending_late)
        if type(spec) is not _ModuleSpec:
            if kind == INSTALLED:
                self._spoil(f"{name} is imported by a mechanism of its own")
            return
        self._pending = spec
        spec.__dict__["_observer"] = self
        spec.__class__ = _Followed

    def _is_late(self, frame: "FrameType | None") -> bool:
        """Whether installed code imports more of itself while it runs, as optimizers do.

        If the program wakes a lazy module (`__getattr__`), the import counts as the program's own.
        """
        beneath = ""
        is_late = False
        while frame is not None:
            code = frame.f_code
            if not code.co_filename.startswith("<frozen importlib") and not (
                code.co_filename.endswith("/importlib/__init__.py")
            ):
                kind = self._origins.kind_of(code.co_filename)
                name = str(frame.f_globals.get("__name__"))
                # An import by `supervisor`, installed or not, counts as one by the program.
                if kind == OWN or name == "__main__" or is_ours(name):
                    return is_late and beneath != "__getattr__"
                is_late = is_late or kind == INSTALLED
                beneath = code.co_name
            frame = frame.f_back
        return is_late

    def _compare(self, name: str, *, weak: bool) -> None:
        """Note what the program has changed since the last import of a package ended."""
        for what in self._interpreter.changes(weak=weak):
            if len(self.changes) < _MOST_CHANGES and what not in dict(self.changes):
                self.changes.append((what, name))
        now = dict(os.environ)
        noted = self.late_environment if weak else self.environment
        for variable in now.keys() | self._environ.keys():
            value = now.get(variable)
            if value != self._environ.get(variable) and not variable.startswith(_OWN_PREFIX):
                noted[variable] = None if value is None else digest(value)
        if not weak:
            for what, read in BESIDES.items():
                if what not in self.besides and read() != self._besides[what]:
                    self.besides.append(what)
            self._note_package(name.partition(".")[0])
        if self._news() != self._written:
            self._written = self._news()
            self._write(self.facts())

    def _note_package(self, name: str) -> None:
        if name not in self.packages:
            self.packages.append(name)

    def _news(self) -> str:
        """The facts worth a write, as text: of packages only whether there are any, and torch."""
        facts = {**self.facts(), "packages": [bool(self.packages), "torch" in self.packages]}
        return str(facts)

    def _on_end(self, spec: "Any") -> None:
        """Note that the followed import has ended, whether or not it succeeded."""
        self._pending = None
        try:
            before, self._written = self._written, self._news()
            if before != self._written:
                self._write(self.facts())
            if self._origins.kind_of(origin_of(spec)) == INSTALLED:
                # The same import makes the same changes in the parked interpreter.
                if self._is_pending_late:
                    self._interpreter.note_late()
                else:
                    self._interpreter.note()
                self._environ = dict(os.environ)
                self._besides = {what: read() for what, read in BESIDES.items()}
            else:
                self._interpreter.note_new()
        except Exception as error:
            self._spoil(f"{type(error).__name__} after the import of {spec.name}: {error}")

    def _is_within(self) -> bool:
        """Whether the followed import still runs; if it never began, it has failed: let it go."""
        spec = self._pending
        if spec.__dict__.get("_began"):
            return True
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_name == "_load_unlocked" and frame.f_locals.get("spec") is spec:
                return True  # an extension module imports others while it is created
            frame = frame.f_back
        _let_go(spec)
        self._on_end(spec)
        return False

    def _spoil(self, why: str) -> None:
        if self.spoiled is None:
            self.spoiled = why
            self._write(self.facts())

    def _is_compared(self, name: str, module: "ModuleType") -> bool:
        """Whether attributes are compared: of packages the top module's, of Python's own all."""
        known = self._compared.get(name)
        if known is None:
            spec = dict_of(module).get("__spec__")
            kind = OWN if spec is None else self._origins.kind_of(origin_of(spec))
            known = kind != OWN and (kind != INSTALLED or "." not in name)
            self._compared[name] = known = known or name in ("builtins", "sys")
        return known


def _let_go(spec: "Any") -> "ImportObserver | None":
    """Restore a spec as it was before it was followed; return its observer."""
    spec.__class__ = _ModuleSpec
    spec.__dict__.pop("_began", None)
    observer: ImportObserver | None = spec.__dict__.pop("_observer", None)
    return observer


class _Followed(_ModuleSpec):  # type: ignore[misc]
    """The spec of a module while it is imported: importlib marks the begin and the end in it.

    So no frame of the observer is in a traceback, and the loader is the module's own.
    """

    @property
    def _initializing(self) -> bool:
        return bool(self.__dict__.get("_initializing"))

    @_initializing.setter
    def _initializing(self, value: bool) -> None:
        self.__dict__["_initializing"] = value
        if value:
            self.__dict__["_began"] = True
        elif self.__dict__.get("_began"):
            observer = _let_go(self)
            if observer is not None:
                observer._on_end(self)

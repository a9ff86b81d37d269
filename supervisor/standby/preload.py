"""Chooses the modules to import before "go", and imports them; never the user's own files."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

from supervisor.standby.refusal import Refused
from supervisor.standby.warm_is_cold import Likeness, modules_of_packages
from supervisor.worker.imports import recorder
from supervisor.worker.imports.sources import module_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

    from supervisor.worker.imports.places import Places

WITHOUT_RECORD = ("torch", "torch._dynamo")
_DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri")


class Preload:
    """The imports of one parked interpreter; `left_out` says which were not made, and why."""

    def __init__(self, wanted: str | Sequence[str], record: str | None, places: Places) -> None:
        """`record` is the file that the trainer wrote; None without one. Raises Refused."""
        self.left_out: list[tuple[str, str]] = []
        self.own_files: list[tuple[str, int, int, int]] = []
        self._places = places
        self._likeness = None if record is None else Likeness(record)
        self._recorded: dict[str, str] | None = None
        found = recorder.read(record) if record is not None else "no record of imports yet"
        if isinstance(found, dict):
            if not found["followed"]:
                raise Refused(
                    "its imports could not be followed: the program changes sys.meta_path"
                )
            self.own_files = found["own"]
        if not isinstance(wanted, str):
            self.names = [str(name) for name in wanted]
        elif isinstance(found, dict):
            self._recorded = dict(found["modules"])
            self.names = [name for name, origin in found["modules"] if places.is_installed(origin)]
        else:
            self.left_out.append(("the record", found))
            uses_torch = self._likeness is None or "torch" in self._likeness.packages
            self.names = list(WITHOUT_RECORD) if uses_torch and not _is_missing("torch") else []

    def perform(self, on_import: Callable[[], None]) -> None:
        """Import all with the user's folders out of reach; call `on_import` before each search.

        Raises Refused if the imports went otherwise than after the program's first lines, or if
        they imported the user's own files.
        """
        known = set(sys.modules)
        known_packages = modules_of_packages().keys()
        likeness = self._likeness
        entries = list(sys.path)
        added: list[str] = []
        clock = _Clock(on_import if likeness is None else _both(on_import, likeness.on_import))
        sys.meta_path.insert(0, clock)
        try:
            for name in self.names:
                if name in sys.modules:
                    continue
                sys.path[:] = self._places.path_for(name, entries) + added
                self._import(name)
                added = [entry for entry in sys.path if entry not in entries]
        finally:
            sys.meta_path.remove(clock)
            sys.path[:] = entries + added
        if likeness is not None:
            likeness.check()
        if likeness is not None and self._recorded is not None:
            loaded = modules_of_packages()
            new = {name: loaded[name] for name in loaded.keys() - known_packages}
            likeness.check_modules(self._recorded, dict(sorted(new.items())))
        for name in list(sys.modules):
            source = None if name in known else module_source(sys.modules[name])
            if source is not None and not self._places.is_installed(source[1]):
                raise Refused(f"an installed package imports your own {source[1]}")

    def packages(self) -> list[str]:
        """Return the names of preloaded packages, without the standard library and `_` names."""
        names = dict.fromkeys(name.partition(".")[0] for name in self.names)
        foreign = names.keys() - sys.stdlib_module_names
        return [n for n in names if n in foreign and n in sys.modules and not n.startswith("_")]

    def _import(self, name: str) -> None:
        try:
            importlib.import_module(name)
        except Exception as error:
            self.left_out.append((name, f"{type(error).__name__}: {error}"[:200]))
        except SystemExit as error:
            self.left_out.append((name, f"its import exits with {error.code!r}"[:200]))


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        first()
        second()

    return call


class _Clock:
    """A finder that finds nothing, and so hears of every import."""

    def __init__(self, on_import: Callable[[], None]) -> None:
        self._on_import = on_import

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> None:
        """Leave it to the others."""
        self._on_import()


def _is_missing(name: str) -> bool:
    return importlib.util.find_spec(name) is None


def hold_context() -> None:
    """Create a CUDA context, for `standby: cuda`. Raises Refused where there can be none."""
    try:
        torch = importlib.import_module("torch")
        torch.zeros(1, device="cuda")
        torch.cuda.synchronize()
    except Exception as error:
        raise Refused(f"no CUDA context: {type(error).__name__}: {error}"[:300]) from None


def open_devices() -> list[str]:
    """Return the device files of accelerators that this process has open."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue  # the descriptor of the listing itself
        if path.startswith(_DEVICES):
            found.append(path)
    return sorted(found)

"""The files that preloaded modules came from, and whether one has changed; it reads no contents."""

from __future__ import annotations

import os
import sys
from importlib.machinery import all_suffixes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .places import Places

    Signature = tuple[int, int, int]


def module_source(module: object) -> tuple[str, str] | None:
    """Return a module's own name and its file, without waking a lazy one; None without a file."""
    try:
        spec = object.__getattribute__(module, "__dict__").get("__spec__")
    except AttributeError:
        return None  # not a module: sys.modules takes any object
    if spec is None or not getattr(spec, "has_location", False):
        return None
    return (spec.name, spec.origin) if isinstance(spec.origin, str) else None


def _mapped_files() -> set[str]:
    """Return the files mapped into memory: most of torch is in libraries that no module names."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        words = [line.rstrip("\n").split(maxsplit=5) for line in file]
    return {word[5] for word in words if len(word) == 6 and word[5].startswith("/")}


def signature_of(path: str) -> Signature | None:
    """Return what tells a file from its next version; None without one."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class SourceFiles:
    """The files that were on disk when the preloaded modules were read.

    Modules, shared libraries, the folders that packages are installed in, and their `.pth` files.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._known: list[tuple[str, Signature | None]] = []

    def note(self, since: float) -> str | None:
        """Note all files. Return one changed after `since` (wall clock): it may be read before."""
        sources = [module_source(module) for module in list(sys.modules.values())]
        files = {source[1] for source in sources if source is not None}
        files |= {path for path in _mapped_files() if not path.endswith(" (deleted)")}
        files.add(os.path.join(sys.prefix, "pyvenv.cfg"))
        for folder in self._places.folders:
            files.add(folder)
            files.update(entry.path for entry in os.scandir(folder) if entry.name.endswith(".pth"))
        for path in sorted(files):
            if path.startswith(("/dev/", "/memfd:", "/SYSV")):
                continue
            self._known.append((path, signature_of(path)))
            try:
                # Not the modification time: that can be given any value.
                if not os.path.isdir(path) and os.stat(path).st_ctime > since:
                    return path
            except OSError:
                continue
        return None

    def note_own(self, files: Iterable[tuple[str, int, int, int]]) -> None:
        """Note files of the program as they were when its imports were followed."""
        for path, *signature in files:
            self._known.append((path, (signature[0], signature[1], signature[2])))

    def __len__(self) -> int:
        return len(self._known)

    def changed(self) -> str | None:
        """Return a file that is not as it was noted, None if all are."""
        stat = os.stat
        for path, known in self._known:
            try:
                found = stat(path)
            except OSError:
                if known is not None:
                    return path
                continue
            if known is None or known != (found.st_mtime_ns, found.st_size, found.st_ino):
                return path
        return None


class Shadows:
    """Files of the user's that a cold start would have imported instead of a preloaded module."""

    def __init__(self, loaded_before: Iterable[str]) -> None:
        """`loaded_before`: modules that Python loads before the program's folder is on sys.path."""
        before = {name.partition(".")[0] for name in loaded_before}
        names = {name.partition(".")[0] for name in sys.modules} - before
        self._packages = names - set(sys.builtin_module_names)
        self._files = {name + suffix for name in self._packages for suffix in all_suffixes()}

    def found_in(self, folder: str) -> str | None:
        """Return the path of such a file in this folder of sys.path, None if there is none."""
        try:
            entries = set(os.listdir(folder or "."))
        except OSError:
            return None
        for name in sorted(entries & self._files):
            return os.path.join(folder, name)
        for name in sorted(entries & self._packages):
            for suffix in all_suffixes():
                path = os.path.join(folder, name, f"__init__{suffix}")
                if os.path.exists(path) and not _is_of(name, path):
                    return os.path.join(folder, name)
        return None


def _is_of(name: str, path: str) -> bool:
    """Whether a file is the very one that a loaded module came from."""
    source = module_source(sys.modules.get(name))
    return source is not None and os.path.exists(source[1]) and os.path.samefile(source[1], path)

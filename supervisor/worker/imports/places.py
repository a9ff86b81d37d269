"""Where modules come from: Python and what was installed for it, or the user's own files."""

from __future__ import annotations

import os
import sys
import sysconfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SITE_NAMES = ("site-packages", "dist-packages")
_SCHEME_KEYS = ("stdlib", "platstdlib", "purelib", "platlib")
# This package's own folder, `supervisor`, and the one that it is found in.
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _with_real(paths: Iterable[str]) -> list[str]:
    both: dict[str, None] = {}
    for path in paths:
        if path:
            both[os.path.abspath(path)] = None
            both[os.path.realpath(path)] = None
    return list(both)


class Places:
    """The installed folders of this interpreter, and the entries of sys.path that are the user's.

    A folder that PYTHONPATH names is the user's, whatever its name. So is a folder that an editable
    install points to. This package counts as installed wherever it lies: it changes nothing when
    imported.
    """

    def __init__(self) -> None:
        named = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        theirs = set(_with_real(named))
        scheme = sysconfig.get_paths()
        installed = [scheme[key] for key in _SCHEME_KEYS if key in scheme]
        installed += [path for path in sys.path if os.path.basename(path) in _SITE_NAMES]
        self._installed = [path for path in _with_real(installed) if path not in theirs]
        standard = tuple(f"{path}/" for path in self._installed)
        zipped = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
        self.own_entries = [
            path
            for path in sys.path
            if os.path.basename(path) != zipped
            and (path in theirs or not f"{path}/".startswith(standard))
        ]
        self._prefixes = (*standard, f"{_OURS}/")
        self._theirs = tuple(f"{path}/" for path in theirs if not path.startswith(_OURS))

    def path_for(self, name: str, entries: Iterable[str]) -> list[str]:
        """Return those of the entries of sys.path where an installed module may be found.

        This package's own entry is one, even if it is pointed to and not installed.
        """
        is_ours = name.partition(".")[0] == os.path.basename(_OURS)
        root = os.path.realpath(os.path.dirname(_OURS))
        return [
            entry
            for entry in entries
            if entry not in self.own_entries or (is_ours and os.path.realpath(entry) == root)
        ]

    @property
    def folders(self) -> list[str]:
        """The installed folders on sys.path: a module that appears there may be found instead."""
        return [path for path in sys.path if path not in self.own_entries and os.path.isdir(path)]

    def is_installed(self, path: str) -> bool:
        """Whether a module's file belongs to Python or to an installed package."""
        if not path.startswith(self._prefixes):
            return False
        # PYTHONPATH may name a folder inside an installed one.
        inner = max((len(p) for p in self._theirs if path.startswith(p)), default=0)
        return inner <= max(len(p) for p in self._prefixes if path.startswith(p))

"""Whose a module is, by its file: Python's, an installed package's, or the program's own.

It does the work of `places.py` with only those modules that Python loads before a program begins.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PYTHON, INSTALLED, OWN = "python", "installed", "own"
# This package in a trainer, under its own name and under that of the start-up hook.
OURS = ("supervisor", "_train_supervisor")
_SITE_NAMES = ("site-packages", "dist-packages")


def is_ours(name: str) -> bool:
    """Whether a module is one of this package, which changes nothing when imported."""
    return name.partition(".")[0] in OURS


def origin_of(spec: "Any") -> "str | None":
    """The file of a module, the first folder of a namespace; None for what has neither."""
    if isinstance(spec.origin, str):
        return spec.origin
    try:
        found = next(iter(spec.submodule_search_locations or ()), None)
    except Exception:  # a namespace that cannot be looked at has no known place
        return None
    return found if isinstance(found, str) else None


class Origins:
    """The folders of this interpreter, as they were when it began."""

    def __init__(self) -> None:
        named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        theirs = {form for path in named if path for form in _forms(path)}
        self._installed = tuple(
            f"{form}/"
            for path in sys.path
            if os.path.basename(path) in _SITE_NAMES
            for form in _forms(path)
            if form not in theirs
        )
        standard = [os.path.dirname(os.__file__)]
        standard += [path for path in sys.path if os.path.basename(path) == "lib-dynload"]
        self._python = tuple(f"{form}/" for path in standard for form in _forms(path))

    def kind_of(self, origin: "str | None") -> str:
        """Whose a file is; code that was made at run time is the program's own."""
        if origin is None:
            return OWN
        if origin in ("built-in", "frozen") or origin.startswith("<frozen "):
            return PYTHON
        if origin.startswith(self._installed):
            return INSTALLED
        return PYTHON if origin.startswith(self._python) and "-packages/" not in origin else OWN


def _forms(path: str) -> "tuple[str, str]":
    return os.path.abspath(path), os.path.realpath(path)

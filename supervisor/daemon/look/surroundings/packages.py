"""Which Python packages are installed in a folder, by the names of their metadata alone."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# A folder with more entries is no folder of packages.
_MOST_ENTRIES = 50_000
# `foo-1.2-py3.12.egg-info` and `foo-1.2-py3.12-linux-x86_64.egg-info`.
_EGG = re.compile(r"-py[23](?:\.\d+)?(?:-.*)?$")
_SEPARATORS = re.compile(r"[-_.]+")


def installed(folders: Iterable[str]) -> dict[str, str] | None:
    """Name and version of each package; None where no folder can be read.

    As in `sys.path`, a package in an earlier folder counts. Two versions in one folder are left
    by an installation gone wrong: both are told.
    """
    found: dict[str, str] = {}
    is_known = False
    for folder in folders:
        here = _in_folder(folder)
        if here is None:
            continue
        is_known = True
        for name, versions in here.items():
            found.setdefault(name, " and ".join(sorted(versions)))
    return found if is_known else None


def _in_folder(folder: str) -> dict[str, list[str]] | None:
    found: dict[str, list[str]] = {}
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= _MOST_ENTRIES:
                    break
                named = read_name(entry.name)
                if named is not None and named[1] not in found.setdefault(named[0], []):
                    found[named[0]].append(named[1])
    except OSError:
        return None
    return found


def read_name(entry: str) -> tuple[str, str] | None:
    """Name and version that `torch-2.6.0.dist-info` stands for; None for other names.

    The name is in the normal form of PEP 503.
    """
    stem, dot, kind = entry.rpartition(".")
    if not dot or kind not in ("dist-info", "egg-info"):
        return None
    if kind == "egg-info":
        stem = _EGG.sub("", stem)
    name, dash, version = stem.rpartition("-")
    # pip renames what it replaces to `~orch-2.6.0.dist-info`, and may leave it behind.
    if not dash or not name or name.startswith("~"):
        return None
    return _SEPARATORS.sub("-", name).lower(), version

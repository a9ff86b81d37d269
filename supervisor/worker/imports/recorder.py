"""Records what a training process has imported by its first step, to preload the next one."""

from __future__ import annotations

import json
import os
import sys

from . import observations
from .origins import OWN, Origins, is_ours
from .sources import module_source, signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT = 2
_MOST_BYTES = 4 << 20


def observed() -> dict[str, Any]:
    """Return the record of this process: modules with their files in the order of import."""
    lines = []
    for name, module in list(sys.modules.items()):
        source = module_source(module)
        # Under another name than its own, a module cannot be imported again.
        if source is not None and source[0] == name and "\n" not in source[1]:
            lines.append(f"{name}\t{source[1]}")
    return {
        "format": FORMAT,
        "python": sys.version,
        "prefix": sys.prefix,
        "modules": "\n".join(lines),
        "own": _own_files(),
    }


def _own_files() -> list[tuple[str, int, int, int]]:
    """Return the program's own files as they are: a changed program may do other things first."""
    origins = Origins()
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    paths = {main} if isinstance(main, str) else set()
    for module in list(sys.modules.values()):
        source = module_source(module)
        if source is not None and not is_ours(source[0]):
            paths.add(source[1])
    found = []
    for path in sorted(path for path in paths if origins.kind_of(path) == OWN):
        signature = signature_of(path)
        if signature is not None:
            found.append((path, *signature))
    return found


def _end_of_following(path: str) -> bool | None:
    """End the observer. True if it was there, False if it is gone, None if there never was one."""
    for finder in list(sys.meta_path):
        if getattr(finder, "_is_import_observer", False):
            sys.meta_path.remove(finder)
            return True
    known = observations.read(path)
    mine = os.environ.get("SUPERVISOR_ATTEMPT")
    return False if isinstance(known, dict) and known["attempt"] == mine else None


def record(path: str) -> None:
    """Write the record for the next interpreter, replacing the file; 0600. Raises OSError.

    A warm program imports what the cold one before it did: the cold one's record stays.
    """
    is_followed = _end_of_following(path)
    if is_followed is None and os.path.isfile(path):
        return
    data = json.dumps({**observed(), "followed": is_followed is not False}).encode("ascii")
    staged = f"{path}.{os.getpid()}"
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(data)
        os.replace(staged, path)
    except OSError:
        os.unlink(staged)
        raise


def read(path: str) -> dict[str, Any] | str:
    """Return a record that fits this interpreter, or why there is none, as a phrase."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
        if found["format"] not in (1, FORMAT):
            return "the record of imports is in another format"
        if (found["python"], found["prefix"]) != (sys.version, sys.prefix):
            return "the record of imports comes from another Python"
        modules = [tuple(line.split("\t", 1)) for line in found["modules"].splitlines()]
        # A worker of an older version says nothing of these.
        own = [tuple(entry) for entry in found.get("own", ())]
        is_followed = bool(found.get("followed", True))
    except FileNotFoundError:
        return "no record of imports yet"
    except (OSError, ValueError, TypeError, KeyError) as error:
        return f"the record of imports cannot be read: {error}"
    return {"modules": modules, "own": own, "followed": is_followed}

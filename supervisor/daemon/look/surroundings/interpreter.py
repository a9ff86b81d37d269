"""Which Python an attempt runs under, and the folders of its packages; that Python is not started.

The command tells it where its first word is Python, or a script with a first line such as
torchrun's. Otherwise a process of the attempt tells it, as long as one lives.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from supervisor.system import procfs
from supervisor.system.small_file import read_small_file
from supervisor.worker.adapters import STARTUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import NamedTuple
else:
    from supervisor.system.named_tuple import NamedTuple

_PYTHON = re.compile(r"(?:python|pypy)(\d+(?:\.\d+)?)?t?d?")
_FOLDERS = ("site-packages", "dist-packages")
_MOST_PROCESSES = 200
_SHEBANG_BYTES = 256


class TrainingPython(NamedTuple):
    """A Python, and where its packages may be, in the order of its `sys.path`."""

    version: str | None
    folders: tuple[str, ...]


def of_command(command: Sequence[str], environ: Mapping[str, str]) -> TrainingPython | None:
    """The Python that the command's first word is, or whose script it is; else None."""
    program = _which(command[0], environ.get("PATH", os.defpath), "") if command else None
    if program is not None and not is_python(program):
        program = _shebang(program)
    return None if program is None else _interpreter(program, environ)


def of_process(pid: int) -> TrainingPython | None:
    """The Python that a process runs; None where it runs none, or may not be looked at.

    None also in a container: the paths are those of another file system.
    """
    try:
        exe = os.readlink(f"/proc/{pid}/exe")
        cwd = os.readlink(f"/proc/{pid}/cwd")
        if os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"):
            return None
    except OSError:
        return None
    words = procfs.read_command(pid)
    environ = as_mapping(procfs.read_environ(pid) or b"")
    # In a virtual environment the executable is a link; only the word shows which.
    named = _which(words[0], environ.get("PATH", os.defpath), cwd) if words else None
    program = named if named is not None and is_python(named) else exe
    return _interpreter(program, environ) if is_python(program) else None


def training_process(pids: Iterable[int], run_id: str) -> int | None:
    """The first of these processes, or of those that descend from them, that is a Python.

    A process that is not of this run has taken a pid over, and does not count.
    """
    pending = list(pids)
    for place in range(_MOST_PROCESSES):
        if place >= len(pending):
            return None
        pid = pending[place]
        environ = procfs.read_environ(pid)
        if environ is None or not procfs.has_mark(environ, procfs.RUN_ID, run_id):
            continue
        if is_python(procfs.executable_name(pid)):
            return pid
        pending += [child for child in procfs.children(pid) or () if child not in pending]
    return None


def as_mapping(environ: bytes) -> dict[str, str]:
    """The variables of an environment as /proc shows it."""
    pairs = (os.fsdecode(item).partition("=") for item in environ.split(b"\0") if item)
    return {name: value for name, _, value in pairs}


def is_python(program: str) -> bool:
    """Whether a program's file name is that of a Python."""
    return _PYTHON.fullmatch(os.path.basename(program)) is not None


def _which(word: str, path: str, cwd: str) -> str | None:
    """The file that a command's first word starts; its links are not resolved."""
    folders = [cwd] if "/" in word else path.split(os.pathsep)
    for folder in folders:
        candidate = os.path.join(folder, word)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return os.path.abspath(candidate)
    return None


def _shebang(script: str) -> str | None:
    """The Python in a script's first line; None where it names none, or finds it by PATH."""
    try:
        with open(script, "rb") as file:
            first = file.read(_SHEBANG_BYTES).partition(b"\n")[0]
    except OSError:
        return None
    words = os.fsdecode(first[2:]).split() if first.startswith(b"#!") else []
    return words[0] if words and is_python(words[0]) else None


def _interpreter(program: str, environ: Mapping[str, str]) -> TrainingPython:
    prefix = os.path.dirname(os.path.dirname(program))
    settings = _venv_settings(program)
    if settings is None:
        real = os.path.realpath(program)
        named = _PYTHON.fullmatch(os.path.basename(real))
        version = named[1] if named is not None else None
        folders = [
            *_user_folder(version, environ),
            *_folders(os.path.dirname(os.path.dirname(real)), version),
        ]
    else:
        version = settings.get("version") or settings.get("version_info")
        folders = [*_folders(prefix, None)]
        if settings.get("include-system-site-packages", "").lower() == "true":
            folders += _user_folder(version, environ)
            folders += _folders(os.path.dirname(settings.get("home", "")), version)
    entries = environ.get("PYTHONPATH", "").split(os.pathsep)
    given = [folder for folder in entries if folder not in ("", STARTUP)]
    return TrainingPython(version, tuple(_once([*given, *folders])))


def _venv_settings(program: str) -> dict[str, str] | None:
    """What `pyvenv.cfg` says, beside the executable or above it; None where there is none."""
    here = os.path.dirname(program)
    for folder in (here, os.path.dirname(here)):
        try:
            said = read_small_file(Path(folder, "pyvenv.cfg"))
        except OSError:
            continue
        lines = said.decode("utf-8", "replace").splitlines()
        pairs = (line.partition("=") for line in lines)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}
    return None


def _folders(prefix: str, version: str | None) -> Iterator[str]:
    """The folders of packages below a prefix; of this version alone where it is known."""
    minor = _minor(version)
    # Debian has the packages of all versions in `python3`.
    wanted = None if minor is None else (f"python{minor}", f"python{minor}t", "python3")
    for place in ("local/lib", "lib", "lib64"):
        library = os.path.join(prefix, place)
        try:
            names = sorted(os.listdir(library))
        except OSError:
            continue
        for name in names:
            if name.startswith("python3") and (wanted is None or name in wanted):
                for kind in _FOLDERS:
                    yield os.path.join(library, name, kind)


def _minor(version: str | None) -> str | None:
    """`3.12` of `3.12.3`; None where that is not told."""
    parts = [] if version is None else version.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 else None


def _user_folder(version: str | None, environ: Mapping[str, str]) -> list[str]:
    home = environ.get("HOME")
    minor = _minor(version)
    if home is None or minor is None or environ.get("PYTHONNOUSERSITE"):
        return []
    return [os.path.join(home, ".local", "lib", f"python{minor}", "site-packages")]


def _once(folders: Iterable[str]) -> Iterator[str]:
    """Those that are there, each once, whatever links lead to it."""
    seen = set()
    for folder in folders:
        real = os.path.realpath(folder)
        if real not in seen and os.path.isdir(real):
            seen.add(real)
            yield folder

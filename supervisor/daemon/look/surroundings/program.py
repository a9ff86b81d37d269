"""What an attempt runs: the main script, the configuration files of its command, and its commit."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from supervisor.daemon.look.surroundings.record import FileSeen
from supervisor.standby.command import MODULE, SCRIPT, PythonCommand, parse
from supervisor.system.small_file import read_small_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_SCRIPTS = (".py", ".sh")
_SETTINGS = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".conf", ".gin")
_MOST_FILES = 16
_MOST_BYTES = 4 << 20
_MOST_FOLDERS = 32
_HEX = frozenset("0123456789abcdef")


def files_of(
    commands: Sequence[Sequence[str]], environ: Mapping[str, str], cwd: str
) -> tuple[str | None, dict[str, FileSeen]]:
    """The path of the main script, and the files that these command lines name.

    Each file is there by its absolute path. Files of 4 MiB and more are no scripts.
    """
    found: dict[str, FileSeen] = {}
    script = None
    for name in _named(commands, environ, cwd):
        path = os.path.abspath(os.path.join(cwd, name))
        if path in found or len(found) >= _MOST_FILES:
            continue
        seen = _seen(path)
        if seen is None:
            continue
        found[path] = seen
        if script is None and not path.endswith(_SETTINGS):
            script = path
    return script, found


def _named(
    commands: Sequence[Sequence[str]], environ: Mapping[str, str], cwd: str
) -> Iterator[str]:
    # The Python program first: of `python train.py --script other.py` train.py is the script.
    for command in commands:
        program = parse(command, environ, cwd)
        if isinstance(program, PythonCommand) and program.kind == SCRIPT:
            yield program.target
        elif isinstance(program, PythonCommand) and program.kind == MODULE:
            yield from _files_of_module(program.target)
    for command in commands:
        for word in command:
            # `bash -c "python train.py --config=a.yaml"` has them within a word.
            for part in word.split():
                for name in (part, part.partition("=")[2]):
                    if name.endswith((*_SCRIPTS, *_SETTINGS)):
                        yield name


def _files_of_module(name: str) -> tuple[str, str]:
    """Where `python -m NAME` finds it in the working directory."""
    place = name.replace(".", "/")
    return f"{place}.py", f"{place}/__main__.py"


def _seen(path: str) -> FileSeen | None:
    try:
        facts = os.stat(path)
        data = read_small_file(Path(path), _MOST_BYTES)
    except OSError:
        return None
    return FileSeen(len(data), facts.st_mtime, hashlib.sha256(data).hexdigest())


def commit_of(path: str) -> str | None:
    """The git commit that is checked out where a file is; None outside of a repository.

    Whether the working tree has changes is not asked: git would have to read all of it.
    """
    folder = os.path.dirname(path)
    for _ in range(_MOST_FOLDERS):
        place = os.path.join(folder, ".git")
        if os.path.exists(place):
            return _commit(place)
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return None


def _commit(place: str) -> str | None:
    """The commit that HEAD names (gitrepository-layout(5))."""
    if os.path.isfile(place):  # a worktree or a submodule: `gitdir: PATH`
        named = (_line(place) or "").removeprefix("gitdir:").strip()
        place = os.path.join(os.path.dirname(place), named)
    head = _line(os.path.join(place, "HEAD")) or ""
    if not head.startswith("ref:"):
        return _as_commit(head)
    reference = head.removeprefix("ref:").strip()
    common = os.path.join(place, _line(os.path.join(place, "commondir")) or "")
    for folder in (place, common):
        found = _as_commit(_line(os.path.join(folder, reference)) or "")
        if found is not None:
            return found
    return next(
        (
            _as_commit(line.partition(" ")[0])
            for line in _lines(os.path.join(common, "packed-refs"))
            if line.endswith(f" {reference}")
        ),
        None,
    )


def _as_commit(text: str) -> str | None:
    return text if len(text) >= 40 and _HEX.issuperset(text) else None


def _line(path: str) -> str | None:
    return next(iter(_lines(path)), None)


def _lines(path: str) -> Iterable[str]:
    try:
        return read_small_file(Path(path)).decode("utf-8", "replace").splitlines()
    except OSError:
        return ()

"""Whether a command is a Python program, and which. It starts nothing, and reads no file.

Of a command such as `trl` only the file's first line can say so: `shebang.py` reads it.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NamedTuple
else:
    from supervisor.system.named_tuple import NamedTuple

SCRIPT, MODULE, CODE = "script", "module", "code"

_PYTHON = re.compile(r"python(?:3(?:\.\d+)?t?d?)?", re.ASCII)
_ARCHIVES = (".zip", ".pyz", ".egg")
_PLAIN = frozenset("bBdOPqRstu")
_WITH_VALUE = frozenset("WX")
_IMPOSSIBLE = {
    "i": "goes on interactively",
    "x": "skips the script's first line",
    "v": "prints every import",
    # The parked interpreter stops in `sitecustomize`, which it finds by PYTHONPATH.
    "E": "makes Python ignore the variables by which it is parked",
    "I": "makes Python ignore the variables by which it is parked",
    "S": "starts Python without `site`, where it is parked",
    "h": "runs no program",
    "?": "runs no program",
    "V": "runs no program",
}
_PYCS = "--check-hash-based-pycs"
# Programs that start others and are no scripts: their files need not be read.
_NO_SCRIPTS = frozenset(
    {
        "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox", "env", "nice", "nohup",
        "ionice", "stdbuf", "setsid", "setpriv", "taskset", "numactl", "chrt", "timeout", "time",
        "srun", "mpirun", "mpiexec", "uv", "docker", "podman", "apptainer", "singularity",
    }
)  # fmt: skip


class Cold(NamedTuple):
    """Why a command can only be launched cold, as a phrase."""

    reason: str


class PythonCommand(NamedTuple):
    """A Python program: `executable [options] [stem]target args`.

    `options` are the words before the word that holds the target (`-m` or `-c` among them);
    `stem` is what stands before the target in its own word (`-um` in `-umtrain`). `words` are those
    by which Python is started, up to the target; of a script its first line says them. `comm` is
    the process's name (PR_SET_NAME), if it is not that of Python's file.
    """

    executable: str
    options: tuple[str, ...]
    kind: str
    stem: str
    target: str
    args: tuple[str, ...]
    words: tuple[str, ...] = ()
    comm: str | None = None


def is_python(word: str) -> bool:
    """Whether a command's first word names Python itself."""
    return _PYTHON.fullmatch(os.path.basename(word)) is not None


def may_be_script(argv: Sequence[str]) -> bool:
    """Whether the command's first word may name a script, which may be a Python program."""
    return bool(argv) and not is_python(argv[0]) and os.path.basename(argv[0]) not in _NO_SCRIPTS


def parse(
    argv: Sequence[str], environ: Mapping[str, str], cwd: str | None = None
) -> PythonCommand | Cold:
    """Return the Python program that a command is, or why it can only be launched cold.

    Its first word must name Python. `environ` is the attempt's: its PATH finds the executable. The
    options are those of CPython 3.11 to 3.14 (Python/initconfig.c, Python/getopt.c).
    """
    found = _parse(argv, environ, cwd)
    if isinstance(found, Cold):
        return found
    return found._replace(words=(argv[0], *found.options))


def _parse(
    argv: Sequence[str], environ: Mapping[str, str], cwd: str | None
) -> PythonCommand | Cold:
    if not argv or not is_python(argv[0]):
        return Cold(f"{argv[0] if argv else 'an empty command'} is not Python")
    file = find(argv[0], environ, cwd)
    if file is None:
        return Cold(f"{argv[0]} is not found")
    executable, words = file.path, list(argv[1:])
    for place, word in enumerate(words):
        if word == "-":
            return Cold("its program comes from standard input")
        if not word.startswith("-"):
            return _script(executable, words, place, cwd)
        if word == "--":
            after = place + 1
            return _script(executable, words, after, cwd) if after < len(words) else _no_program()
        found = _options(executable, words, place)
        if found is not None:
            return found
        if _takes_next(word):
            return _after_value(executable, words, place, environ, cwd, argv[0])
    return _no_program()


def _after_value(
    executable: str,
    words: list[str],
    place: int,
    environ: Mapping[str, str],
    cwd: str | None,
    name: str,
) -> PythonCommand | Cold:
    """Parse the words after an option whose value is the next word."""
    head, rest = words[: place + 2], words[place + 2 :]
    if len(head) < place + 2:
        return Cold(f"{words[place]} has no value")
    if "X" in words[place][-1:] and (problem := _extended(head[-1])):
        return problem
    found = _parse([name, *rest], environ, cwd)
    if isinstance(found, Cold):
        return found
    return found._replace(executable=executable, options=(*head, *found.options))


def _no_program() -> Cold:
    return Cold("no program is named")


def _script(executable: str, words: list[str], place: int, cwd: str | None) -> PythonCommand | Cold:
    script = words[place]
    if script == "-":
        return Cold("its program comes from standard input")
    if script.endswith(_ARCHIVES) or os.path.isdir(os.path.join(cwd or "", script)):
        return Cold(f"{script} is a directory or an archive, not a script")
    return PythonCommand(
        executable, tuple(words[:place]), SCRIPT, "", script, tuple(words[place + 1 :])
    )


def _options(executable: str, words: list[str], place: int) -> PythonCommand | Cold | None:
    """Read one word of options; None if the program is named by a later word."""
    word = words[place]
    if word.startswith("--"):
        return None if word == _PYCS else Cold(f"{word} is no option of a program")
    for index, letter in enumerate(word[1:], start=1):
        rest = word[index + 1 :]
        if letter in "mc":
            kind = MODULE if letter == "m" else CODE
            if rest:
                stem, target, args = word[: index + 1], rest, words[place + 1 :]
                return PythonCommand(
                    executable, tuple(words[:place]), kind, stem, target, tuple(args)
                )
            if place + 1 == len(words):
                return Cold(f"{word} has no value")
            options, args = words[: place + 1], words[place + 2 :]
            return PythonCommand(
                executable, tuple(options), kind, "", words[place + 1], tuple(args)
            )
        if letter in _WITH_VALUE:
            return _extended(rest) if letter == "X" and rest else None
        if letter in _IMPOSSIBLE:
            return Cold(f"-{letter} {_IMPOSSIBLE[letter]}")
        if letter not in _PLAIN:
            return Cold(f"-{letter} is an unknown option")
    return None


def _takes_next(word: str) -> bool:
    """Whether the value of this word's last option is the next word."""
    return word == _PYCS or (
        word[-1] in _WITH_VALUE and not any(c in _WITH_VALUE for c in word[1:-1])
    )


def _extended(value: str) -> Cold | None:
    return Cold("-X importtime prints every import") if value.startswith("importtime") else None


class FoundFile(NamedTuple):
    """A file that a command's first word leads to: its absolute path, and how exec(3) names it."""

    path: str
    named: str


def find(name: str, environ: Mapping[str, str], cwd: str | None) -> FoundFile | None:
    """Return the file that execvp(3) would start, None if there is none."""
    if "/" in name:
        candidates = [name]
    else:
        folders = environ.get("PATH", os.defpath).split(os.pathsep)
        candidates = [os.path.join(folder, name) for folder in folders]
    for named in candidates:
        path = os.path.join(cwd or "", named)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return FoundFile(os.path.abspath(path), named)
    return None

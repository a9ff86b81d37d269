"""Which Python program a script's first line makes of it: `trl`, `yolo`, `./train.py`.

It reads the script's first bytes, once. A disk may not answer, so only these call it: processes
that may hang alone (a child before its exec, the parked interpreter) and commands at a terminal;
never the loop of daemon or launcher.
"""

from __future__ import annotations

import os
import re
import stat

from supervisor.standby.command import (
    SCRIPT,
    Cold,
    PythonCommand,
    find,
    is_python,
    may_be_script,
    parse,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NamedTuple
else:
    from supervisor.system.named_tuple import NamedTuple

# The kernel reads 256 bytes (BINPRM_BUF_SIZE), before Linux 5.1 only 128, and cuts the line there.
# pip and uv keep to the lower number, and begin a script with a longer path in the shell's form.
_LINE_BYTES = 127
_HEAD_BYTES = 8192
_SHELLS = ("sh", "bash", "dash")
_ZIP = b"PK\x03\x04"
# The shell's form, by pip (distlib's ScriptMaker) and uv: the line is Python's string and the
# shell's `exec`. uv's relocatable environments find Python beside the script.
_SHELL_FORM = re.compile(r"'''exec' (?P<words>.+) \"\$0\" \"\$@\"\n' '''(?:\n|$)")
_BESIDE = '"$(dirname -- "$(realpath -- "$0")")"/'
_SHELL_WORD = re.compile(r"\"([^\"$`\\]+)\"|'([^']+)'|([\w@%+=:,./-]+)", re.ASCII)
_RUN_WORDS = 'exec "$0" "$@"'
# Of `env -S` only words without quotes, escapes and variables are understood here.
_SPLIT = re.compile(r"(?:-S|--split-string=)[ \t]*([^\\'\"$#]+)")


class _Start(NamedTuple):
    """How a script is started: the words to exec before its path, and Python's words among them."""

    words: tuple[str, ...]
    python: tuple[str, ...]
    variables: Mapping[str, str]
    is_direct: bool


def resolve(
    argv: Sequence[str], environ: Mapping[str, str], cwd: str | None = None
) -> PythonCommand | Cold:
    """Return the Python program that a command is, also by its script's first line.

    As `parse`, which it calls, but it reads the file.
    """
    if not may_be_script(argv):
        return parse(argv, environ, cwd)
    name = argv[0]
    file = find(name, environ, cwd)
    if file is None:
        return Cold(f"{name} is not found")
    try:
        head = _head(file.path)
    except OSError as error:
        return Cold(f"{name} cannot be read: {error.strerror}")
    line, _, rest = head.partition(b"\n")
    start = _start(line, os.fsdecode(rest), file.named, cwd)
    if start is None or not is_python(start.python[0]):
        return Cold(f"{name} is not Python")
    if rest.startswith(_ZIP):
        return Cold(f"{name} is a directory or an archive, not a script")
    if "PYTHONPATH" in start.variables:
        return Cold(f"the first line of {name} sets PYTHONPATH, by which it would be parked")
    args = tuple(argv[1:])
    found = parse([*start.python, file.named, *args], {**environ, **start.variables}, cwd)
    if isinstance(found, Cold):
        return Cold(f"the first line of {name}: {found.reason}")
    if (found.kind, found.target, found.args) != (SCRIPT, file.named, args):
        return Cold(f"the first line of {name} starts another program")
    # The kernel names the process after the file that was executed first.
    comm = os.path.basename(file.named) if start.is_direct else None
    return found._replace(words=start.words, comm=comm)


def _head(path: str) -> bytes:
    """Read the first bytes of a regular file. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return os.read(fd, _HEAD_BYTES) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def _start(line: bytes, rest: str, script: str, cwd: str | None) -> _Start | None:
    """Read the first line as the kernel does (load_script in fs/binfmt_script.c).

    The interpreter is the first word. All behind it is one argument, without the blanks around it.
    """
    if not line.startswith(b"#!") or len(line) > _LINE_BYTES or b"\0" in line:
        return None
    words = re.split(r"[ \t]+", os.fsdecode(line[2:]).strip(" \t"), maxsplit=1)
    interpreter, argument = words[0], words[1:]
    if "/" not in interpreter:
        return None  # the kernel would take it from the working directory
    kind = os.path.basename(interpreter)
    if kind == "env" and argument:
        return _by_env(interpreter, argument[0])
    if kind in _SHELLS and not argument:
        return _by_shell(interpreter, rest, script, cwd)
    started = (interpreter, *argument)
    return _Start(started, started, {}, True)


def _by_env(env: str, argument: str) -> _Start | None:
    split = _SPLIT.fullmatch(argument)
    if split is None and (argument.startswith("-") or len(argument.split()) > 1):
        return None  # another option; or a program whose name has blanks, as env sees it
    words = [argument] if split is None else split[1].split()
    variables: dict[str, str] = {}
    while words and "=" in words[0] and not words[0].startswith("-"):
        variable, _, value = words.pop(0).partition("=")
        variables[variable] = value
    return _Start((env, argument), tuple(words), variables, False) if words else None


def _by_shell(shell: str, rest: str, script: str, cwd: str | None) -> _Start | None:
    form = _SHELL_FORM.match(rest)
    text = "" if form is None else form["words"]
    beside = ""
    if text.startswith(_BESIDE):
        beside = os.path.dirname(os.path.realpath(os.path.join(cwd or "", script))) + "/"
        text = text[len(_BESIDE) :]
    words: list[str] = []
    while text and (word := _SHELL_WORD.match(text)) is not None:
        if word.end() < len(text) and text[word.end()] != " ":
            return None
        words.append(word[1] or word[2] or word[3])
        text = text[word.end() :].lstrip(" ")
    if not words or text:
        return None
    words[0] = beside + words[0]
    # A shell sets variables (PWD, SHLVL), so the parked interpreter is started by it as well.
    return _Start((shell, "-c", _RUN_WORDS, *words), tuple(words), {}, False)

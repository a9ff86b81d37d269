"""Whether a command's exit code is Python's own; a shell's may be that of a pipe's last command.

It judges by the command alone, and must not ask what the program printed.
"""

import os
import shutil
from collections.abc import Sequence

_NAMES = ("python", "pypy")
# Each of these becomes the command behind it, or exits with that command's code.
_WRAPPERS = frozenset(
    {
        "env",
        "nice",
        "nohup",
        "ionice",
        "stdbuf",
        "setsid",
        "taskset",
        "numactl",
        "chrt",
        "timeout",
        "time",
        "srun",
        "uv",
        "poetry",
        "conda",
        "mamba",
        "micromamba",
    }
)
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox", "xargs", "make"})
_SHEBANG_BYTES = 256


def runs_python(command: Sequence[str]) -> bool:
    """Whether an unhandled exception would have made this command exit with another code than 0."""
    if not command:
        return False
    if os.path.basename(command[0]) not in _WRAPPERS:  # noqa: PTH119 -- a word, not a path
        return _is_python(command[0])
    for word in command[1:]:
        name = os.path.basename(word)  # noqa: PTH119
        if name in _SHELLS:
            return False
        if name.startswith(_NAMES):
            return True
    return False


def _is_python(program: str) -> bool:
    """Whether name, link target or a script's first line says so (`torchrun`, `./t.py`)."""
    if os.path.basename(program).startswith(_NAMES):  # noqa: PTH119
        return True
    found = shutil.which(program)
    if found is None:
        return False
    if os.path.basename(os.path.realpath(found)).startswith(_NAMES):  # noqa: PTH119
        return True
    try:
        with open(found, "rb") as script:
            first = script.read(_SHEBANG_BYTES).partition(b"\n")[0]
    except OSError:
        return False  # executable but not readable: Python could not read such a script either
    return first.startswith(b"#!") and any(name.encode() in first for name in _NAMES)

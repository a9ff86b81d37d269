"""Options of a Python command line with which Python reads no PYTHONPATH, or no `sitecustomize`."""

import os
import re
from collections.abc import Sequence

_PYTHON = re.compile(r"(python|pypy)(3(\.\d+)?t?d?)?", re.ASCII)
_WITH_VALUE = frozenset("WX")
_PYCS = "--check-hash-based-pycs"
_SAYS = {
    "I": "python -I ignores PYTHONPATH",
    "E": "python -E ignores PYTHONPATH",
    "S": "python -S runs no sitecustomize",
}


def ignores_startup(argv: Sequence[str]) -> str | None:
    """Why the Python that this command names runs no start-up hook; None where it may run it.

    Launchers in front of Python (`env`, `srun`, `uv run`) are passed over.
    """
    words = iter(argv)
    if not any(_PYTHON.fullmatch(os.path.basename(word)) for word in words):
        return None
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            return None
        if word == _PYCS:
            next(words, None)
        if word.startswith("--"):
            continue
        for index, letter in enumerate(word[1:], start=1):
            if letter in _SAYS:
                return _SAYS[letter]
            if letter in "mc":
                return None
            if letter in _WITH_VALUE:
                if index == len(word) - 1:
                    next(words, None)
                break
    return None

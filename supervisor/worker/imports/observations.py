"""What the observer in a trainer has seen, as a file beside the record of imports.

It makes its JSON by hand: the program may replace the module `json` before it is imported.
"""

import os
import posix  # the program may have replaced functions of `os`
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SUFFIX = ".observed"
FORMAT = 1


def _text(value: object) -> str:
    """A value as JSON: texts, numbers, lists and mappings of such."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        plain = [
            c if " " <= c <= "~" and c not in '"\\' else "".join(f"\\u{n:04x}" for n in _units(c))
            for c in value
        ]
        return f'"{"".join(plain)}"'
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(str(k))}:{_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_text, value)) + "]"
    raise TypeError(f"no text for {type(value).__name__}")


def _units(character: str) -> "tuple[int, ...]":
    code = ord(character)
    if code < 0x10000:
        return (code,)
    return (0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF))


class Notes:
    """The file of one attempt."""

    def __init__(self, record: str, attempt: str) -> None:
        """`record` is where the first beat will write down what was imported."""
        self._path = record + SUFFIX
        self._attempt = attempt

    def write(self, facts: "Mapping[str, object]") -> None:
        """Replace the file; 0600. If that fails, remove it: it would be of an earlier attempt."""
        whole = {
            "format": FORMAT,
            "python": sys.version,
            "prefix": sys.prefix,
            "attempt": self._attempt,
            **facts,
        }
        staged = f"{self._path}.{posix.getpid()}"
        try:
            fd = posix.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                posix.write(fd, _text(whole).encode("ascii"))
            finally:
                posix.close(fd)
            posix.replace(staged, self._path)
        except OSError:
            self._remove(staged)
            self._remove(self._path)

    @staticmethod
    def _remove(path: str) -> None:
        try:
            posix.unlink(path)
        except OSError:
            return  # the file is not there, or its directory is gone: nobody will read it


def read(record: str) -> "dict[str, Any] | str":
    """What was seen by an interpreter like this one, or why nothing is known, as a phrase."""
    import json

    try:
        with open(record + SUFFIX, "rb") as file:
            found = json.loads(file.read())
        if found["format"] != FORMAT:
            return "the notes on its imports are in another format"
        if (found["python"], found["prefix"]) != (sys.version, sys.prefix):
            return "the notes on its imports come from another Python"
        return dict(found)
    except FileNotFoundError:
        return "its imports were not followed"
    except (OSError, ValueError, TypeError, KeyError) as error:
        return f"the notes on its imports cannot be read: {error}"

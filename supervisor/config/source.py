"""Reads the text of a configuration file, and makes a run's name of the file's; no pydantic."""

import errno
import re
from pathlib import Path

from supervisor.config.problems import ConfigError, Problem
from supervisor.system.small_file import read_small_file

LARGEST_BYTES = 1 << 20
# A run's name becomes a directory.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def read_text(path: Path) -> str:
    """The text of the file. Raises ConfigError."""
    try:
        data = read_small_file(path, LARGEST_BYTES)
    except IsADirectoryError:
        raise _unreadable(path, "is a directory, not a configuration file") from None
    except FileNotFoundError:
        raise _unreadable(path, "no such file") from None
    except OSError as error:
        if error.errno in (errno.EFBIG, errno.EINVAL):
            raise _unreadable(path, f"{error.strerror}: this path is not a configuration") from None
        raise _unreadable(path, f"cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8 text"
        raise ConfigError(str(path), [Problem(line, column, "", message)]) from None


def _unreadable(path: Path, message: str) -> ConfigError:
    """The error for a file that cannot be read at all."""
    hint = "`supervisor init PATH` writes a configuration to start from"
    return ConfigError(str(path), [Problem(None, None, "", message)], hint=hint)


def default_name(path: Path) -> str:
    """The run's name where the configuration sets none: the file's, without odd characters."""
    return name_of(path.stem)


def name_of(text: str) -> str:
    """A text as a run's name, without odd characters; `run` where nothing of it is left."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64].rstrip("-._") or "run"

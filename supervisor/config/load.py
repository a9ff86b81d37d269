"""Reads a configuration file and reports all that is wrong with it at once, each with its place."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from supervisor.config.document import Document, NotYamlError
from supervisor.config.explain import explain
from supervisor.config.model import RunConfig
from supervisor.config.places import with_expanded_paths
from supervisor.config.problems import ConfigError, Problem

LARGEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid configuration, the file it came from, and that file's text."""

    config: RunConfig
    path: Path
    text: str


def load_config(path: Path) -> LoadedConfig:
    """Read and check a configuration. Raises ConfigError with every problem found."""
    text = _read(path)
    try:
        document = Document.parse(text)
    except NotYamlError as error:
        raise ConfigError(str(path), [error.problem]) from None
    values = document.values
    if values is None:
        problem = Problem(None, None, "", "is empty: at least `command` is needed")
        raise ConfigError(str(path), [problem], hint="`supervisor init` writes one to start from")
    if not isinstance(values, dict):
        kind = "a list" if isinstance(values, list) else "one text"
        problem = Problem(1, 1, "", f"expected keys with values (key: value), found {kind}")
        raise ConfigError(str(path), [problem])
    problems = list(document.duplicates)
    values.setdefault("name", _name_of(path))
    try:
        config = RunConfig.model_validate(values)
        config, unknown = with_expanded_paths(config, document, os.environ)
        problems += unknown
    except ValidationError as error:
        problems += explain(error, document)
    if problems:
        raise ConfigError(str(path), problems)
    return LoadedConfig(config=config, path=path, text=text)


def _read(path: Path) -> str:
    """The text of the file. Raises ConfigError."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= LARGEST_BYTES else b""
    except IsADirectoryError:
        raise _unreadable(path, "is a directory, not a configuration file") from None
    except FileNotFoundError:
        raise _unreadable(path, "no such file") from None
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}") from None
    if size > LARGEST_BYTES:
        raise _unreadable(path, f"is {size} bytes long: that is not a configuration")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8 text"
        raise ConfigError(str(path), [Problem(line, column, "", message)]) from None


def _unreadable(path: Path, message: str) -> ConfigError:
    """A file that could not be read at all."""
    hint = "`supervisor init PATH` writes a configuration to start from"
    return ConfigError(str(path), [Problem(None, None, "", message)], hint=hint)


def _name_of(path: Path) -> str:
    """The run's name when the file does not say: the file's own, made a sane file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:64] or "run"

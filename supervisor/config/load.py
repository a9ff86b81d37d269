"""Reads a configuration file and reports all its problems at once, each with its place."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from supervisor.config.document import Document, NotYamlError
from supervisor.config.explain import explain
from supervisor.config.model import RunConfig
from supervisor.config.places import absolute, expand
from supervisor.config.problems import ConfigError, Problem
from supervisor.config.source import default_name, read_text

_PATHS = (
    ("run_dir",),
    ("cwd",),
    ("checkpoints", "directory"),
    ("finish", "file"),
    ("diagnosis", "rules"),
    ("metrics", "textfile"),
)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid configuration, the file it came from, and that file's text."""

    config: RunConfig
    path: Path
    text: str


def load_config(path: Path) -> LoadedConfig:
    """Read and check a configuration. Raises ConfigError with every problem found."""
    return parse_config(read_text(path), path)


def refuse_broken(path: Path) -> None:
    """Refuse a file that is no valid configuration; one that cannot be read may be elsewhere now.

    Variables in paths are left out: the next `run` may have others. Raises ConfigError.
    """
    if os.access(path, os.R_OK):
        parse_config(read_text(path), path, expands=False)


def parse_config(text: str, path: Path, *, expands: bool = True) -> LoadedConfig:
    """Check the text of a configuration that is, or will be, at `path`. Raises ConfigError.

    `expands`: put the values of variables into its paths.
    """
    try:
        document = Document.parse(text)
    except NotYamlError as error:
        raise ConfigError(str(path), [error.problem]) from None
    values = document.values
    if values is None:
        problem = Problem(None, None, "", "is empty: at least `command` is needed")
        raise ConfigError(
            str(path), [problem], hint="`supervisor init` writes a configuration to start from"
        )
    if not isinstance(values, dict):
        kind = "a list" if isinstance(values, list) else "one text"
        problem = Problem(1, 1, "", f"expected keys with values (key: value), found {kind}")
        raise ConfigError(str(path), [problem])
    problems = list(document.duplicates)
    values.setdefault("name", default_name(path))
    try:
        config = RunConfig.model_validate(values)
        if expands:
            config, unknown = _with_expanded_paths(config, document, os.environ)
            problems += unknown
    except ValidationError as error:
        problems += explain(error, document)
    if problems:
        raise ConfigError(str(path), problems)
    if config.cwd is not None:
        config = config.model_copy(update={"cwd": absolute(config.cwd, path.absolute().parent)})
    return LoadedConfig(config=config, path=path, text=text)


def _with_expanded_paths(
    config: RunConfig, document: Document, environment: Mapping[str, str]
) -> tuple[RunConfig, list[Problem]]:
    """The configuration with its paths expanded, and a problem for each path that cannot be.

    Variables have the values that the trainer would see: the file's `env` over `environment`.
    """
    known = {**environment, **config.env}
    problems: list[Problem] = []
    for key in _PATHS:
        section, name = (config, key[0]) if len(key) == 1 else (getattr(config, key[0]), key[1])
        written = getattr(section, name)
        if written is None:
            continue
        try:
            value = expand(written, known)
        except ValueError as error:
            line, column = document.place(key)
            problems.append(Problem(line, column, ".".join(key), str(error)))
            continue
        if value != written:
            section = section.model_copy(update={name: value})
            config = section if len(key) == 1 else config.model_copy(update={key[0]: section})
    return config, problems

"""Reads a configuration file and reports all that is wrong with it at once, each with its place."""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from supervisor.config.document import Document, NotYamlError
from supervisor.config.explain import explain
from supervisor.config.model import RunConfig
from supervisor.config.places import with_expanded_paths
from supervisor.config.problems import ConfigError, Problem
from supervisor.config.source import default_name, read_text


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid configuration, the file it came from, and that file's text."""

    config: RunConfig
    path: Path
    text: str


def load_config(path: Path) -> LoadedConfig:
    """Read and check a configuration. Raises ConfigError with every problem found."""
    text = read_text(path)
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
    values.setdefault("name", default_name(path))
    try:
        config = RunConfig.model_validate(values)
        config, unknown = with_expanded_paths(config, document, os.environ)
        problems += unknown
    except ValidationError as error:
        problems += explain(error, document)
    if problems:
        raise ConfigError(str(path), problems)
    return LoadedConfig(config=config, path=path, text=text)

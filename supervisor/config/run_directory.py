"""Finds the run directory of a configuration without pydantic: most commands need no more of it.

Where the file is not plain, `load.py` reads it and says what is wrong.
"""

import os
from pathlib import Path
from typing import Any

from supervisor.config.document import Document, NotYamlError
from supervisor.config.places import absolute, absolute_run_dir, expand
from supervisor.config.source import NAME, default_name, read_text

# The keys of RunConfig; a test compares them. An unknown key may be a misspelt `run_dir`.
KEYS = frozenset(
    {
        "name", "command", "run_dir", "cwd", "checkpoints", "resume", "finish", "watch",
        "diagnosis", "restart", "grace", "signals", "logging", "metrics", "notify", "launch",
        "integrate", "env", "hooks",
    }
)  # fmt: skip


def run_directory(path: Path, directory: Path) -> Path | None:
    """The absolute run directory of a configuration; None where `load.py` has to judge the file.

    A relative run directory begins in the file's `cwd`, else in `directory`. Raises ConfigError
    where the file cannot be read.
    """
    try:
        document = Document.parse(read_text(path))
    except NotYamlError:
        return None
    values = document.values
    if not isinstance(values, dict) or document.duplicates:
        return None
    if "command" not in values or not values.keys() <= KEYS:
        return None
    name = values.get("name", default_name(path))
    places, env = (values.get("run_dir"), values.get("cwd")), values.get("env", {})
    if not isinstance(name, str) or not NAME.fullmatch(name) or not _are_texts(env):
        return None
    if not all(place is None or (isinstance(place, str) and place) for place in places):
        return None
    known = {**os.environ, **env}
    try:
        run_dir, cwd = (None if place is None else expand(place, known) for place in places)
    except ValueError:
        return None
    if cwd is not None:
        directory = Path(absolute(cwd, path.absolute().parent))
    return Path(absolute_run_dir(run_dir, name, directory))


def _are_texts(env: Any) -> bool:
    """Whether a value can be the file's `env`: a mapping of texts to texts."""
    return isinstance(env, dict) and all(
        isinstance(name, str) and isinstance(value, str) for name, value in env.items()
    )

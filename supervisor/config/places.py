"""Paths as people write them: `~` and `$VARIABLE` are expanded or refused, never taken literally.

The supervisor once looked into a directory named `$SCRATCH`, beside the trainer's real one, and saw
no checkpoint.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

_VARIABLE = re.compile(r"\$(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[^}]*)\})?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Matches in a word of `command`, at its beginning or behind the `=` of an option or an override.
_UNEXPANDED = re.compile(r"(?:^|=)(?:~(?:/|$)|\$[A-Za-z_{])")


def expand(path: str, environment: Mapping[str, str]) -> str:
    """The path with its variables and a leading `~` filled in.

    Raises ValueError for a variable that is unset or empty, a `$` without a variable's name, and
    the home of an unknown user.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match["name"] if match["braced"] is None else match["braced"]
        if name is None or not _NAME.fullmatch(name):
            raise ValueError(
                f"{path!r} holds a $ without the name of a variable: write the path as it is on the"
                " disk"
            )
        value = environment.get(name)
        if not value:
            what = "is not set here" if value is None else "is empty here"
            raise ValueError(f"${name} {what}: set it, or write the path itself")
        return value

    # Expand `~` before the variables: a `~` in a variable's value is part of the path on the disk.
    if path.startswith("~"):
        head, slash, rest = path.partition("/")
        try:
            home = environment.get("HOME") if head == "~" else None
            head = home or str(Path(head).expanduser())
        except RuntimeError:
            raise ValueError(
                f"{head} is no home directory on this machine: write the path"
            ) from None
        return head + slash + _VARIABLE.sub(value_of, rest)
    return _VARIABLE.sub(value_of, path)


def absolute(path: str, directory: Path) -> str:
    """An absolute path without `..`. Links are not followed. Call `expand` first."""
    return os.path.abspath(directory / path)  # noqa: PTH100 -- keeps links


def absolute_run_dir(run_dir: str | None, name: str, directory: Path) -> str:
    """The run directory of a configuration that is read in `directory`."""
    return absolute(run_dir or f"runs/{name}", directory)


def unexpanded(word: str) -> bool:
    """Whether a word of `command` looks like a path that only a shell would expand."""
    return not re.search(r"\s", word) and _UNEXPANDED.search(word) is not None

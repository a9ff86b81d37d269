"""The record of what one attempt ran in, and its JSON form.

Named tuples, for the child process: to import `dataclasses` would cost it 11 ms of CPU time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NamedTuple
else:
    from supervisor.system.named_tuple import NamedTuple

FORMAT = 1


class FileSeen(NamedTuple):
    """A file as it was read; `mtime` is in seconds since 1970."""

    size: int
    mtime: float
    sha256: str


class SurroundingsRecord(NamedTuple):
    """What one attempt ran in. None: not known, so it is not compared."""

    attempt: int
    taken: float
    """When it was read, seconds since 1970."""
    python: str | None
    packages: Mapping[str, str] | None
    """The version of each installed package."""
    script: str | None
    """The path of the main script; it is one of `files`."""
    files: Mapping[str, FileSeen]
    """The script, and the configuration files that the command names, by their paths."""
    commit: str | None
    """The git commit of the script's repository."""
    command: tuple[str, ...]
    """The command line; words that may be secret are masked."""
    shown: Mapping[str, str]
    """Environment variables whose values may be shown."""
    hidden: Mapping[str, int | None]
    """Other variables: 16 bits of a digest of the value. None where it may be a secret."""
    node: str | None
    kernel: str | None
    driver: str | None
    """The version of NVIDIA's driver."""


def to_json(record: SurroundingsRecord) -> dict[str, Any]:
    """The record as it is kept."""
    files = {path: seen._asdict() for path, seen in record.files.items()}
    return {"format": FORMAT, **record._asdict(), "files": files}


def from_json(said: object) -> SurroundingsRecord | None:
    """The inverse of `to_json`; None for what is no such record, or of another format.

    A value of another type counts as not known.
    """
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        return None
    attempt, taken, command = said.get("attempt"), said.get("taken"), said.get("command")
    if type(attempt) is not int or not isinstance(taken, int | float):
        return None
    packages = said.get("packages")
    hidden = said.get("hidden")
    return SurroundingsRecord(
        attempt=attempt,
        taken=float(taken),
        python=_text(said.get("python")),
        packages=_texts(packages) if isinstance(packages, dict) else None,
        script=_text(said.get("script")),
        files=_files(said.get("files")),
        commit=_text(said.get("commit")),
        command=tuple(str(word) for word in command) if isinstance(command, list) else (),
        shown=_texts(said.get("shown")),
        hidden={
            name: check if type(check) is int else None
            for name, check in (hidden.items() if isinstance(hidden, dict) else ())
        },
        node=_text(said.get("node")),
        kernel=_text(said.get("kernel")),
        driver=_text(said.get("driver")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> dict[str, str]:
    items = value.items() if isinstance(value, dict) else ()
    return {name: text for name, text in items if isinstance(text, str)}


def _files(value: object) -> dict[str, FileSeen]:
    found = {}
    for path, seen in value.items() if isinstance(value, dict) else ():
        match seen:
            case {"size": int(size), "mtime": int() | float() as mtime, "sha256": str(sha256)}:
                found[path] = FileSeen(size, float(mtime), sha256)
    return found

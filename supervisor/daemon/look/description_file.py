"""Reads what the trainer's local rank 0 says of itself: a small file beside its heartbeat page.

Any process of the user may have written it, and any version of the worker. What does not fit is
passed over, and never an error.
"""

import json
import os
from pathlib import Path
from typing import Any

from supervisor.core.trainer_description import TrainerDescription, TrainingSaid
from supervisor.system.small_file import read_small_file

NAME = "describe-0.json"
_MOST_BYTES = 256 << 10
_TEXT_CHARS = 500
_NAME_CHARS = 100
_PATH_BYTES = 4096
_SENTENCES_MAX = 50
_LARGEST = 10**15


class DescriptionFile:
    """The description of one attempt; a look costs a `stat` as long as nothing changed."""

    def __init__(self, heartbeat_dir: Path, attempt: int) -> None:
        self._path = heartbeat_dir / NAME
        self._attempt = attempt
        self._seen: tuple[int, int, int] | None = None
        self._description: TrainerDescription | None = None

    def look(self) -> TrainerDescription | None:
        """What it says now; the last readable description where it is gone or torn."""
        try:
            at = self._path.lstat()
            seen = at.st_ino, at.st_mtime_ns, at.st_size
            if seen == self._seen:
                return self._description
            said = json.loads(read_small_file(self._path, _MOST_BYTES))
        except FileNotFoundError:
            return self._description
        except (OSError, ValueError, RecursionError):
            said = None
        self._seen = seen
        if isinstance(said, dict) and said.get("attempt") in (None, self._attempt):
            self._description = read_description(said)
        return self._description


def read_description(said: dict[str, Any]) -> TrainerDescription:
    """The description in a JSON object; values of other types count as not said."""
    every = said.get("save_every")
    return TrainerDescription(
        framework=_text(said.get("framework"), _NAME_CHARS),
        directory=_path(said.get("checkpoint_dir")),
        total_steps=_count(said.get("total_steps")),
        best=_path(said.get("best")),
        training=_training(said.get("training")),
        resumed_from=_path(said.get("resumed_from")),
        told=_sentences(said.get("told")),
        save_every=0 if every == 0 and type(every) is int else _count(every),
        save_every_s=_seconds(said.get("save_every_s")),
        not_restored=_sentences(said.get("not_restored")),
        stop=_text(said.get("stop"), _NAME_CHARS),
    )


def _sentences(said: object) -> tuple[str, ...]:
    listed = said[:_SENTENCES_MAX] if isinstance(said, list) else []
    return tuple(text for one in listed if (text := _text(one, _TEXT_CHARS)) is not None)


def _seconds(said: object) -> float | None:
    is_one = isinstance(said, (int, float)) and not isinstance(said, bool)
    return float(said) if is_one and 0 < said < _LARGEST else None  # type: ignore[operator,arg-type]


def _training(said: object) -> TrainingSaid | None:
    if not isinstance(said, dict):
        return None
    step = said.get("step")
    return TrainingSaid(
        directory=_path(said.get("directory")),
        ordinal=_count(said.get("ordinal")) or 1,
        began=_count(said.get("began")) or 0,
        has_ended=said.get("ended") is True,
        step=0 if step == 0 and type(step) is int else _count(step),
    )


def _text(said: object, most: int) -> str | None:
    """The text on one line, without control characters; None for an empty one."""
    if not isinstance(said, str):
        return None
    shown = "".join(one if one.isprintable() else " " for one in said[: 2 * most])
    return " ".join(shown.split())[:most] or None


def _count(said: object) -> int | None:
    return said if type(said) is int and 0 < said < _LARGEST else None


def _path(said: object) -> str | None:
    """An absolute path below the root that a file can have, without `..`; else None."""
    if not isinstance(said, str) or not said.startswith("/") or not said.isprintable():
        return None
    path = os.path.normpath(said)
    is_sane = path.strip("/") and len(os.fsencode(path)) < _PATH_BYTES
    return path if is_sane else None

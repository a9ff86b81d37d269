"""Which training wrote which checkpoint: `trainings.jsonl`, and what may be concluded from it.

A process may train several times, in one directory too (stages, folds). Only adapters write these
files, and only global rank 0; a checkpoint is injected by no other knowledge.
"""

from __future__ import annotations

import json
import os
import time
from math import isfinite
from typing import NamedTuple

from ..worker.adapters import TRAININGS, TRAININGS_BEGUN
from .renewed_place import command_line, place_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MOST_BYTES = 64 << 20
# The clock of a file server and that of this machine may differ by so much.
_SKEW_S = 5.0


class TrainingName(NamedTuple):
    """One training of a run's process: the same in each attempt."""

    directory: str
    """Where it saves; where it saved first, if each attempt has a directory named by the time."""
    ordinal: int
    """Which of the process's trainings with this directory it is, from 1."""


class WriterRecord:
    """The two files of one run. Without a run directory they are empty, and stay so."""

    def __init__(self, run_dir: str | None, attempt: int | None) -> None:
        folder = None if run_dir is None else os.path.join(run_dir, ".supervisor")
        self._saves = None if folder is None else os.path.join(folder, TRAININGS)
        self._begun = None if folder is None else os.path.join(folder, TRAININGS_BEGUN)
        self._attempt = attempt

    def began(self, training: TrainingName, place: str, total_steps: int | None) -> None:
        """Note that this training begins, and saves into `place`. Raises OSError."""
        more = {} if place == training.directory else {"place": place}
        words = command_line()
        self._append(self._begun, training, total_steps=total_steps, words=words, **more)

    def ended(self, training: TrainingName, place: str) -> None:
        """Note that this training came to its own end. Raises OSError."""
        self._append(self._begun, training, place=place, ended=True)

    def begun(self) -> list[dict[str, Any]]:
        """All trainings that ever began or ended, as they are on record."""
        return list(_lines(self._begun))

    def saved(self, training: TrainingName, checkpoint: str, step: int) -> None:
        """Note that this training's checkpoint is complete on disk. Raises OSError."""
        path = os.path.realpath(checkpoint)
        changed = _changed_at(path)
        known = changed if isfinite(changed) else None
        self._append(self._saves, training, checkpoint=path, step=step, changed=known)

    def _append(self, path: str | None, training: TrainingName, **more: Any) -> None:
        if path is None:
            return
        line = {"attempt": self._attempt, **training._asdict(), **more, "wall": time.time()}
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
        try:
            data = json.dumps(line).encode("ascii") + b"\n"
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                data = b"\n" + data  # a write that a full disk cut short
            if os.write(fd, data) != len(data):
                raise OSError(28, "no space for a line of the record", path)
            os.fsync(fd)
        finally:
            os.close(fd)

    def writer_of(self, checkpoint: str, training: TrainingName) -> TrainingName | None:
        """Return the training that wrote this checkpoint; None if that is not sure.

        A checkpoint that is not on record counts as written by the first training of its directory.
        If a second training with that directory ever began, it is not sure. `training` is the one
        that asks: rank 0 may not have recorded it yet.
        """
        checkpoint = os.path.realpath(checkpoint)
        begun = list(_lines(self._begun))
        saved = None
        for line in _lines(self._saves):
            if line.get("checkpoint") == checkpoint:
                saved = line
        if saved is None:
            return _first_in(_directory_of(checkpoint, begun, training), begun)
        name = _name(saved)
        later = [
            line["wall"]
            for line in begun
            if line["directory"] == name.directory
            and line["ordinal"] != name.ordinal
            and line["wall"] > saved["wall"]
        ]
        # Another training of the directory may have written it anew under the same name. What
        # other ranks write a moment after the record is still this training's.
        was, last = saved.get("changed"), _changed_at(checkpoint)
        written_at = last + _SKEW_S if was is None else saved["wall"] + (last - was)
        return name if not later or written_at < min(later) else None

    def next_after(self, checkpoint: str, training: TrainingName) -> int | None:
        """Return the ordinal of the training that followed the checkpoint's own training.

        None if no training followed: then the attempt ended in the checkpoint's own.
        """
        checkpoint = os.path.realpath(checkpoint)
        saved = [
            line["wall"] for line in _lines(self._saves) if line.get("checkpoint") == checkpoint
        ]
        later = [
            line["ordinal"]
            for line in _lines(self._begun)
            if line["directory"] == training.directory
            and line["ordinal"] > training.ordinal
            and line.get("attempt") != self._attempt
            and saved
            and line["wall"] > saved[-1]
        ]
        return min(later, default=None)

    def is_of_this_run(self, checkpoint: str) -> bool:
        """Whether an attempt of this run wrote it, as far as that is known."""
        checkpoint = os.path.realpath(checkpoint)
        if any(line.get("checkpoint") == checkpoint for line in _lines(self._saves)):
            return True
        begun = [line["wall"] for line in _lines(self._begun)]
        changed = _changed_at(checkpoint)
        return bool(begun) and min(begun) + _SKEW_S < changed < float("inf")

    def has_saved(self, training: TrainingName) -> bool:
        """Whether this training has a checkpoint on record."""
        return any(_name(line) == training for line in _lines(self._saves))


def _name(line: dict[str, Any]) -> TrainingName:
    return TrainingName(line["directory"], line["ordinal"])


def _directory_of(checkpoint: str, begun: list[dict[str, Any]], training: TrainingName) -> str:
    """Return the directory of the training that a checkpoint lies in: its own folder, or above."""
    parent = os.path.dirname(checkpoint)
    known = {training.directory: training.directory}
    known |= {place_of(line): line["directory"] for line in begun}
    folder = parent
    # Lightning puts `lightning_logs/version_0/checkpoints` between the two.
    while os.path.basename(parent) == "checkpoints" and folder != os.path.dirname(folder):
        if folder in known:
            return known[folder]
        folder = os.path.dirname(folder)
    return known.get(parent, parent)


def _first_in(directory: str, begun: list[dict[str, Any]]) -> TrainingName | None:
    ordinals = {line["ordinal"] for line in begun if line["directory"] == directory}
    return TrainingName(directory, 1) if ordinals <= {1} else None


def _changed_at(checkpoint: str) -> float:
    """Return when a checkpoint's files were written last, by the file system's clock."""
    found = [checkpoint]
    try:
        if os.path.isdir(checkpoint):
            found += [entry.path for entry in os.scandir(checkpoint)]
        return max(os.stat(path).st_mtime for path in found)
    except OSError:
        return float("inf")  # not known: it may be newer than all


def _lines(path: str | None) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a file; one that is torn or of another form is left out."""
    if path is None:
        return
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES)
    except OSError:
        return
    for raw in data.splitlines():
        try:
            line = json.loads(raw)
        except ValueError:
            continue
        if (
            isinstance(line, dict)
            and isinstance(line.get("directory"), str)
            and isinstance(line.get("ordinal"), int)
            and isinstance(line.get("wall"), (int, float))
        ):
            yield line

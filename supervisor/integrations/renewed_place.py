"""Whether a directory that no earlier attempt had is that of the training before.

A script that puts the time into its output directory has another one at each start. Its training
goes on with the one before only where nothing else is possible: one process with one rank and one
training in each attempt that did not end by itself, the same command line, and names that differ in
nothing but the time.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Lines = Sequence[dict[str, Any]]

# They choose what is trained next: a new directory may be a new trial's.
_TUNERS = ("optuna", "ray.tune", "hyperopt", "nevergrad", "ax", "skopt", "syne_tune", "nni")
_SWEEPS = ("WANDB_SWEEP_ID", "TUNE_ORIG_WORKING_DIR", "NNI_PLATFORM")


def command_line() -> str:
    """Return a hash of the program's words, by which two attempts are compared."""
    words = "\0".join(sys.argv)
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()


def first_directory(place: str, attempt: int, lines: Lines, total_steps: int | None) -> str | None:
    """Return the directory by which earlier attempts know this training; None: by `place`.

    `lines` is the record of trainings that began. To be asked of a process's first training, before
    that is on record, and where there is one rank.
    """
    earlier = _earlier(lines, attempt)
    known = next((line for line in reversed(earlier) if place_of(line) == place), None)
    if known is not None:
        return str(known["directory"])
    if not earlier or len(earlier) != len(lines) or _is_swept():
        return None
    attempts = [_attempt_of(line) for line in earlier]
    directories = {str(line["directory"]) for line in earlier}
    if len(set(attempts)) != len(attempts) or len(directories) != 1:
        return None  # several trainings in an attempt or over the attempts, or one that has ended
    form, words = _form(place, time.time()), command_line()
    for line in earlier:
        same = line.get("words") == words and line.get("total_steps") == total_steps
        if not same or line["ordinal"] != 1 or _form(place_of(line), line["wall"]) != form:
            return None
    return directories.pop() if form != place else None


def is_new(place: str, attempt: int, lines: Lines) -> bool:
    """Whether earlier attempts trained, and the first training of this one saves elsewhere."""
    earlier = _earlier(lines, attempt)
    now = {place_of(line) for line in lines if _attempt_of(line) == attempt}
    before = {one for line in earlier for one in (place_of(line), line["directory"])}
    return bool(earlier) and now <= {place} and place not in before


def place_of(line: dict[str, Any]) -> str:
    """Return the directory into which a training on record saved."""
    place = line.get("place")
    return place if isinstance(place, str) else str(line["directory"])


def _is_swept() -> bool:
    is_tuned = any(name in sys.modules for name in _TUNERS)
    return is_tuned or any(name in os.environ for name in _SWEEPS)


def _earlier(lines: Lines, attempt: int) -> list[dict[str, Any]]:
    return [line for line in lines if _attempt_of(line) < attempt]


def _form(place: str, began: float) -> str:
    try:
        from .time_in_path import without_time  # its expressions take milliseconds to compile

        return without_time(place, began)
    except (ImportError, OverflowError, OSError, ValueError):  # upgraded, or no time of a clock
        return place


def _attempt_of(line: dict[str, Any]) -> int:
    attempt = line.get("attempt")
    return attempt if isinstance(attempt, int) else 0

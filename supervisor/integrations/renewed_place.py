"""Which training it is that saves into a directory which no earlier attempt had.

A script that puts the time into its output directory has another one at each start. It is the same
training if the directories differ in nothing but that time, and it is the same one in the order in
which the attempt's trainings began.
"""

from __future__ import annotations

import os
import time

from ..worker.environment import number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Lines = Sequence[dict[str, Any]]

_WAIT_S = 60.0
_POLL_S = 0.05


def this_process(number: int) -> list[int]:
    """What rank 0's line and the other ranks of the same launcher have in common.

    `number`: which of the process's trainings it is.
    """
    return [os.getppid(), number, number_of("TORCHELASTIC_RESTART_COUNT") or 0]


def first_directory(
    place: str, attempt: int, process: list[int], read: Callable[[], Lines], *, is_rank_0: bool
) -> str | None:
    """Return the directory by which earlier attempts know this training; None: by `place`.

    `read` reads the record of trainings that began. Another rank than 0 waits for rank 0's line
    where there is a choice, a minute at most.
    """
    lines = read()
    earlier = [line for line in lines if _attempt_of(line) < attempt]
    for line in reversed(earlier):
        if place_of(line) == place:
            return str(line["directory"])
    form = _form(place, time.time()) if earlier else place
    alike = [line for line in earlier if form != place and _form_of(line) == form]
    if not alike:
        return None
    if not is_rank_0:
        return _as_rank_0(attempt, process, read)
    before = [
        line
        for line in lines
        if _attempt_of(line) == attempt and _form_of(line) == form and not _ended(line, process)
    ]
    return _in_turn(len(_places(before)), alike)


def is_new(place: str, attempt: int, lines: Lines) -> bool:
    """Whether earlier attempts trained, and none of them in this directory."""
    earlier = [line for line in lines if _attempt_of(line) < attempt]
    return bool(earlier) and not any(place in (place_of(x), x["directory"]) for x in earlier)


def place_of(line: dict[str, Any]) -> str:
    """Return the directory into which a training on record saved."""
    place = line.get("place")
    return place if isinstance(place, str) else str(line["directory"])


def _in_turn(number: int, alike: Lines) -> str | None:
    """The training that began as the same one of an earlier attempt: number 0 is the first."""
    for attempt in sorted({_attempt_of(line) for line in alike}):
        of_attempt = [line for line in alike if _attempt_of(line) == attempt]
        directories = _places(of_attempt)
        if len(directories) > number:
            return list(directories.values())[number]
    return None


def _places(lines: Lines) -> dict[str, str]:
    """The directories that trainings saved into, each with the name of its training."""
    return {place_of(line): str(line["directory"]) for line in lines}


def _as_rank_0(attempt: int, process: list[int], read: Callable[[], Lines]) -> str | None:
    end = time.monotonic() + _WAIT_S
    while True:
        for line in read():
            if _attempt_of(line) == attempt and line.get("process") == process:
                return str(line["directory"])
        if time.monotonic() > end:
            return None
        time.sleep(_POLL_S)


def _ended(line: dict[str, Any], process: list[int]) -> bool:
    """Whether it is of the ranks that the same torchrun had started before."""
    other = line.get("process")
    return isinstance(other, list) and other[:2] == process[:2] and other[2:] != process[2:]


def _form_of(line: dict[str, Any]) -> str:
    return _form(place_of(line), line["wall"])


def _form(place: str, began: float) -> str:
    from .time_in_path import without_time  # its expressions take milliseconds to compile

    try:
        return without_time(place, began)
    except (OverflowError, OSError, ValueError):  # no time of a clock
        return place


def _attempt_of(line: dict[str, Any]) -> int:
    attempt = line.get("attempt")
    return attempt if isinstance(attempt, int) else 0

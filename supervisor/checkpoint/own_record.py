"""What a trainer has written down of its own training: how many steps of how many it has made.

HF's Trainer keeps `trainer_state.json` in each checkpoint, and in its output directory once
training has ended (`save_state`). It is read as data, and only what this attempt wrote.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from supervisor.core.ending import OwnRecord

_NAME = "trainer_state.json"
# A log of a million steps; one that is larger says nothing worth the memory.
_MOST_BYTES = 64 << 20
# Clocks of file systems tick less often than ours; where they keep no fractions, FAT's are even.
_MARGIN_S, _WHOLE_SECONDS_S = 0.1, 2.0
_NEWEST = 3


def read_own_record(directory: Path, since_wall: float) -> OwnRecord | None:
    """The furthest record written since `since_wall` (seconds since 1970); None where none was.

    Of two records of one step the final one is taken. A file that cannot be read is no record.
    """
    found = [
        record
        for path in _records(directory, since_wall)
        if (record := _read(path, is_output=path.parent == directory)) is not None
    ]
    return max(found, key=lambda record: (record.step, record.is_end), default=None)


def _records(directory: Path, since_wall: float) -> Iterator[Path]:
    yield from _fresh([directory / _NAME], since_wall)
    try:
        numbered = [
            (int(number), path)
            for path in directory.iterdir()
            if (number := path.name.removeprefix("checkpoint-")).isdigit() and number != path.name
        ]
    except OSError:
        return
    newest = sorted(numbered, reverse=True)[:_NEWEST]
    yield from _fresh([path / _NAME for _, path in newest], since_wall)


def _fresh(paths: list[Path], since_wall: float) -> Iterator[Path]:
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue  # most trainers have none
        is_whole = status.st_mtime == int(status.st_mtime)
        margin_s = _WHOLE_SECONDS_S if is_whole else _MARGIN_S
        if status.st_mtime >= since_wall - margin_s and status.st_size <= _MOST_BYTES:
            yield path


def _read(path: Path, *, is_output: bool) -> OwnRecord | None:
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(state, dict):
        return None
    step, total = state.get("global_step"), state.get("max_steps")
    if type(step) is not int or type(total) is not int or total <= 0 or step < 0:
        return None
    callbacks = state.get("stateful_callbacks")
    callbacks = callbacks if isinstance(callbacks, dict) else {}
    is_evaluated = _is_evaluated(state.get("log_history"), step)
    name = _NAME if is_output else f"{path.parent.name}/{_NAME}"
    return OwnRecord(
        name,
        step,
        total,
        # `save_state` comes after training; a checkpoint says that it is the last.
        is_end=is_output or _is_told_to_stop(callbacks),
        is_early_stop=_is_early_stop(callbacks, is_evaluated=is_evaluated),
        is_at_evaluation=is_evaluated,
    )


def _is_told_to_stop(callbacks: Mapping[str, Any]) -> bool:
    return any(
        _part(control, "args").get("should_training_stop") is True
        for control in _states(callbacks, "TrainerControl")
    )


def _is_early_stop(callbacks: Mapping[str, Any], *, is_evaluated: bool) -> bool:
    """Whether HF's own EarlyStoppingCallback ended it.

    Its count is brought up to date by a save only: where the last evaluation was not saved, the
    callback and an evaluation at this very step have to do.
    """
    for callback in _states(callbacks, "EarlyStoppingCallback"):
        patience = _part(callback, "args").get("early_stopping_patience")
        count = _part(callback, "attributes").get("early_stopping_patience_counter")
        if isinstance(patience, int) and isinstance(count, int) and count >= patience:
            return True
        if is_evaluated:
            return True
    return False


def _is_evaluated(history: object, step: int) -> bool:
    entries = history if isinstance(history, list) else []
    return any(
        isinstance(entry, dict)
        and entry.get("step") == step
        and any(str(key).startswith("eval") for key in entry)
        for entry in entries[-8:]
    )


def _states(callbacks: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A callback's states; several of one class stand in a list."""
    found = callbacks.get(name)
    states = found if isinstance(found, list) else [found]
    return [state for state in states if isinstance(state, dict)]


def _part(state: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = state.get(name)
    return part if isinstance(part, dict) else {}

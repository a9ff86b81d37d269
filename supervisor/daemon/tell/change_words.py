"""How it is told what is different from the last good attempt: on the terminal and in commands."""

from supervisor.config.durations import format_duration
from supervisor.core.changed_status import ChangedStatus, DifferenceStatus
from supervisor.core.entries.attempt import ChangedEntry, Difference
from supervisor.daemon.look.surroundings.comparing import HIDDEN

_FILES = frozenset({"script", "config"})


def difference_text(one: Difference | DifferenceStatus) -> str:
    """`torch 2.6.0 → 2.7.1`, `train.py edited 14m before the end`, `NCCL_DEBUG unset`."""
    if one.kind in _FILES:
        if one.edited_s is None:
            return f"{one.what} edited"
        return f"{one.what} edited {format_duration(one.edited_s)} before the end"
    if one.kind == "variable" and one.after is None:
        return f"{one.what} unset"
    if one.kind == "variable" and one.before is None:
        return f"{one.what} set" + ("" if one.after == HIDDEN else f" to {one.after}")
    if one.before == one.after == HIDDEN:
        return f"{one.what} has another value"
    if one.before is None:
        return f"{one.what} {one.after} added"
    if one.after is None:
        return f"{one.what} {one.before} removed"
    return f"{one.what} {one.before} → {one.after}"


def changed_text(changed: ChangedEntry | ChangedStatus, *, most: int | None = None) -> str:
    """`changed since attempt 3: torch 2.6.0 → 2.7.1, node gpu07 → gpu09, and 4 more`.

    Lists `most` of the differences, and counts the others.
    """
    listed = changed.differences[:most]
    left = changed.more + len(changed.differences) - len(listed)
    told = [difference_text(one) for one in listed]
    text = ", ".join([*told, f"and {left} more"] if left else told)
    return f"changed since attempt {changed.since}: {text}"

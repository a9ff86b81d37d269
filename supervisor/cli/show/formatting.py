"""Times and sizes as people read them; `--json` never uses these texts."""

from datetime import UTC, datetime
from typing import Any

from supervisor.config.durations import format_duration
from supervisor.system.clock import parse_rfc3339

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def wall_of(text: Any) -> float | None:
    """Seconds since 1970 of an RFC 3339 time; None where the text is no such time."""
    if not isinstance(text, str):
        return None
    try:
        return parse_rfc3339(text)
    except ValueError:
        return None


def age_text(seconds: float) -> str:
    """`3m20s ago`; clocks of two machines may differ, so a small negative age is `just now`."""
    if seconds < 1:
        return "just now" if seconds > -60 else f"in {format_duration(-seconds)}"
    return f"{format_duration(seconds)} ago"


def local_time(text: Any, *, now_s: float) -> str:
    """A recorded time in local time; the date stands before it unless it is today."""
    wall = wall_of(text)
    if wall is None:
        return "--:--:--"
    moment = datetime.fromtimestamp(wall, UTC).astimezone()
    if moment.date() == datetime.fromtimestamp(now_s, UTC).astimezone().date():
        return f"{moment:%H:%M:%S}"
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def size_text(count: Any) -> str:
    """A number of bytes: `1.3 GiB`; `-` where it is not known."""
    if not isinstance(count, (int, float)):
        return "-"
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if unit == 0 or value >= 100 else 1
    return f"{value:.{digits}f} {_UNITS[unit]}"


def count_text(number: Any) -> str:
    """A whole number with thousands apart: `6,100`; `-` where it is not known."""
    return f"{number:,}" if isinstance(number, int) else "-"

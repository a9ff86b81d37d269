"""Durations as people write them (`90s`, `1h30m`). It must stay free of imports that cost time."""

import math
import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")
_LONGEST_S = 10 * 365 * 86400.0

DURATION_PATTERN = r"^\s*(\d+(\.\d+)?|(\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*)+)$"
EXPECTED = "a duration such as 90s, 5m or 1h30m"


def parse_duration(value: object) -> float:
    """Seconds of `90s`, `5m`, `1h30m`, `1d`, or of a plain number of seconds.

    Raises ValueError with a sentence for the user.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"expected {EXPECTED}")
    seconds = _parse_text(value) if isinstance(value, str) else float(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"expected {EXPECTED}; it cannot be negative or infinite")
    if seconds > _LONGEST_S:
        raise ValueError("expected a duration of at most ten years")
    return seconds


def _parse_text(text: str) -> float:
    """Seconds of a text, each unit at most once and in falling order. Raises ValueError."""
    stripped = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        return float(stripped)
    position, total, last = 0, 0.0, math.inf
    while match := _PART.match(stripped, position):
        unit = _SECONDS[match[2]]
        if unit >= last:
            raise ValueError(f"expected {EXPECTED}: each unit once, larger units first")
        total, last, position = total + float(match[1]) * unit, unit, match.end()
    if position != len(stripped) or not stripped:
        raise ValueError(f"expected {EXPECTED}")
    return total


def format_duration(seconds: float) -> str:
    """A duration as a person would say it, two units at most: `0.4s`, `45s`, `1m30s`, `3d4h`."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 10 and abs(seconds - round(seconds)) >= 0.05:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for (unit, size), (minor, minor_size) in (
        (("d", 86400), ("h", 3600)),
        (("h", 3600), ("m", 60)),
        (("m", 60), ("s", 1)),
    ):
        if whole >= size:
            rest = whole % size // minor_size
            return f"{whole // size}{unit}" + (f"{rest}{minor}" if rest else "")
    return f"{whole}s"

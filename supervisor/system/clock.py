"""The two clocks: decisions use monotonic seconds, records carry wall time."""

import time
from datetime import UTC, datetime


def monotonic_s() -> float:
    """Seconds that never jump (CLOCK_MONOTONIC; the same for all processes of one boot)."""
    return time.monotonic()


def wall_s() -> float:
    """Seconds since 1970 as the machine believes them; may jump both ways."""
    return time.time()


def rfc3339(wall: float) -> str:
    """A wall time as RFC 3339 in UTC with milliseconds, e.g. `2026-01-02T03:04:05.678Z`."""
    moment = datetime.fromtimestamp(wall, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_rfc3339(text: str) -> float:
    """The inverse of `rfc3339`. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()

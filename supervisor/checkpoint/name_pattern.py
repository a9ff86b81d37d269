"""Applying the user's own regular expression to checkpoint names. Results are cached.

A name on which the expression takes too long counts as not matched. A name that it does match, it
matches at once.
"""

import re
import time
from functools import cache, lru_cache

from supervisor.system.bounded_pattern import BoundedPattern, PatternTimeoutError

NAME_CPU_S = 0.05
# A directory may hold a thousand names on which the expression is slow. Once slow names have cost
# this much CPU time (four of them), each further name gets one tick.
_SLOW_CPU_S = 0.2
_TICK_S = 0.001
_slow: dict[str, list[str]] = {}


@cache
def _compiled(pattern: str) -> BoundedPattern:
    return BoundedPattern(pattern, re.ASCII)


@lru_cache(maxsize=1 << 14)
def step_text(name: str, pattern: str) -> str | None:
    """Return what the group `step` matched in a name, "" if the group matched nothing.

    None if the expression does not match the whole name, or took too long on it.
    """
    slow = _slow.setdefault(pattern, [])
    allowed_s = NAME_CPU_S if len(slow) * NAME_CPU_S < _SLOW_CPU_S else _TICK_S
    try:
        match = _compiled(pattern).match_whole(name, allowed_s)
    except PatternTimeoutError:
        slow.append(name)
        return None
    return None if match is None else match["step"] or ""


def slow_name(pattern: str | None) -> str | None:
    """Return the first name on which the expression was too slow in this process, or None."""
    return next(iter(_slow.get(pattern or "", ())), None)


class Patience:
    """A bound on the CPU time for trying names in one look at a directory.

    `pattern`: the user's expression. With None there is no bound.
    """

    __slots__ = ("_until",)

    def __init__(self, pattern: str | None, cpu_s: float = _SLOW_CPU_S) -> None:
        self._until = None if pattern is None else time.process_time() + cpu_s

    @property
    def is_over(self) -> bool:
        """Whether the time is used up: the remaining names have to wait for the next look."""
        return self._until is not None and time.process_time() > self._until

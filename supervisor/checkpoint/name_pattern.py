"""The user's own expression for checkpoints' names: what it reads in one, each name tried once.

A name on which it takes too long is none of its names: one that it matches, it matches at once.
"""

import re
import time
from functools import cache, lru_cache

from supervisor.system.bounded_pattern import BoundedPattern, PatternTimeoutError

NAME_CPU_S = 0.05
# A directory may hold a thousand names that it is slow on: after some, each has a tick.
_SLOW_CPU_S = 0.2
_TICK_S = 0.001
_slow: dict[str, list[str]] = {}


@cache
def _compiled(pattern: str) -> BoundedPattern:
    return BoundedPattern(pattern, re.ASCII)


@lru_cache(maxsize=1 << 14)
def step_text(name: str, pattern: str) -> str | None:
    """What the group `step` matched, "" where it matched nothing; None for a name of others."""
    slow = _slow.setdefault(pattern, [])
    allowed_s = NAME_CPU_S if len(slow) * NAME_CPU_S < _SLOW_CPU_S else _TICK_S
    try:
        match = _compiled(pattern).match_whole(name, allowed_s)
    except PatternTimeoutError:
        slow.append(name)
        return None
    return None if match is None else match["step"] or ""


def slow_name(pattern: str | None) -> str | None:
    """The first name that the expression was too slow on in this process, if there was one."""
    return next(iter(_slow.get(pattern or "", ())), None)


class Patience:
    """How long one look at a directory may try names, where the user has an expression."""

    __slots__ = ("_until",)

    def __init__(self, pattern: str | None, cpu_s: float = _SLOW_CPU_S) -> None:
        self._until = None if pattern is None else time.process_time() + cpu_s

    @property
    def is_over(self) -> bool:
        """Whether the names that are left have to wait for the next look."""
        return self._until is not None and time.process_time() > self._until

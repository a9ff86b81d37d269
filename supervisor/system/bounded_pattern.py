r"""A user's regular expression, applied for a bounded time; nothing else applies one.

Python's engine backtracks: `(\w+\s?)*step` takes longer than any training on one line of words. It
asks for signals while it does, so a timer of CPU time ends it: a loaded machine ends nothing early.
"""

import re
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from supervisor.system.pattern_shape import is_surely_quick

_Found = TypeVar("_Found")
_is_armed = False


class PatternTimeoutError(Exception):
    """The text was given up: what the pattern would have found in it is not known."""


class BoundedPattern:
    """One compiled expression. `cpu_s` is how long it may take, to the clock's tick (4 to 10 ms).

    The timer only works in a process's main thread. Elsewhere an expression is applied if its shape
    bounds its time, and is too slow if not.
    """

    __slots__ = ("_compiled", "_is_surely_quick", "text")

    def __init__(self, text: str, flags: int = 0) -> None:
        """Raises re.error for what is no regular expression."""
        self.text = text
        self._compiled = re.compile(text, flags)
        self._is_surely_quick: bool | None = None

    @property
    def group_names(self) -> frozenset[str]:
        """The names of its groups."""
        return frozenset(self._compiled.groupindex)

    def find_all(self, text: str, cpu_s: float) -> list[re.Match[str]]:
        """All matches, in order. Raises PatternTimeoutError."""
        return self._bounded(lambda: list(self._compiled.finditer(text)), cpu_s)

    def match_whole(self, text: str, cpu_s: float) -> re.Match[str] | None:
        """The match of the whole text. Raises PatternTimeoutError."""
        return self._bounded(lambda: self._compiled.fullmatch(text), cpu_s)

    def _bounded(self, work: Callable[[], _Found], cpu_s: float) -> _Found:
        if threading.current_thread() is threading.main_thread():
            return _interrupted_after(cpu_s, work)
        if self._is_surely_quick is None:
            self._is_surely_quick = is_surely_quick(self.text)
        if not self._is_surely_quick:
            raise PatternTimeoutError(self.text)
        return work()


def _interrupted_after(cpu_s: float, work: Callable[[], _Found]) -> _Found:
    global _is_armed
    if signal.getsignal(signal.SIGVTALRM) is not _on_timer:
        signal.signal(signal.SIGVTALRM, _on_timer)
    _is_armed = True
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
        return work()
    finally:
        _is_armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)


def _on_timer(number: int, frame: FrameType | None) -> None:
    """End the match under way; a signal that comes a moment after it ends nothing."""
    global _is_armed
    if _is_armed:
        _is_armed = False
        raise PatternTimeoutError

r"""A user's regular expression, applied for a bounded time. No other module applies one.

Python's engine backtracks: `(\w+\s?)*step` takes longer than any training on one line of words. The
engine looks for signals meanwhile, so that a timer can end it. The timer counts CPU time: on a
loaded machine no match ends early.
"""

import re
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TypeVar

from supervisor.system.pattern_shape import is_surely_quick

_Found = TypeVar("_Found")
_is_armed = False


class PatternTimeoutError(Exception):
    """The match was given up: what the pattern would have found in the text is not known."""


class BoundedPattern:
    """One compiled expression. `cpu_s` is how long it may take, to the clock's tick (4 to 10 ms).

    The timer only works in a process's main thread. In other threads an expression is applied only
    if its shape bounds its time; any other counts as too slow.
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

    def search(self, text: str, cpu_s: float) -> re.Match[str] | None:
        """The first match anywhere in the text. Raises PatternTimeoutError."""
        return self._bounded(lambda: self._compiled.search(text), cpu_s)

    def search_each(self, texts: Sequence[str], cpu_s: float) -> list[re.Match[str] | None]:
        """The first match in each text, all within one time. Raises PatternTimeoutError."""
        return self._bounded(lambda: [self._compiled.search(text) for text in texts], cpu_s)

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
    """End the match under way. A signal that comes just after the match ends nothing."""
    global _is_armed
    if _is_armed:
        _is_armed = False
        raise PatternTimeoutError

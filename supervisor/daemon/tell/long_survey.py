"""Says that checkpoints are still being read while a decision waits for them."""

from collections.abc import Callable

FIRST_WORD_S = 5.0
NEXT_WORD_S = 60.0


class LongReading:
    """Many or large checkpoints on a slow disk: without a word the wait looks like a hang."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._since: float | None = None
        self._next_word = 0.0

    def poll(self, now: float, *, is_waited_for: bool) -> None:
        """Say how long it has taken, after 5 s and then each minute; `now` is monotonic seconds."""
        if not is_waited_for:
            self._since = None
            return
        if self._since is None:
            self._since, self._next_word = now, now + FIRST_WORD_S
        if now >= self._next_word:
            self._next_word = now + NEXT_WORD_S
            self._say(f"the checkpoints are still being read, for {now - self._since:.0f} s so far")

"""Whether the launcher is stopped by a signal: then nothing is signalled, or seen to end."""

from collections.abc import Callable

from supervisor.system import journal_stream
from supervisor.system.identity import read_stat

# A shorter stop is not reported (Ctrl-Z and fg).
SAID_AFTER_S = 2.0
# A running launcher is looked at at every other poll.
LOOK_S = 0.9
_STOPPED = (b"T", b"t")


def is_frozen(pid: int) -> bool:
    """Whether the main thread of a process is stopped, by a signal or by a debugger (proc(5))."""
    stat = read_stat(pid)
    return stat is not None and stat[1][0] in _STOPPED


def frozen_text(pid: int) -> str:
    """The sentence on a stopped launcher: what it means, and what to type."""
    return (
        f"the launcher (pid {pid}) is stopped by a signal. An attempt that runs goes on, but until"
        f" `kill -CONT {pid}` the supervisor signals and launches nothing, and sees nothing end"
    )


class FrozenLauncher:
    """Looks at the launcher. `warning`: the sentence on it, while it is stopped."""

    def __init__(self, pid: int | None, say: Callable[[str, int], None]) -> None:
        self._pid = pid
        self._say = say
        self._since: float | None = None
        self._look_at = 0.0
        self._is_said = False
        self.warning: str | None = None

    @property
    def is_frozen(self) -> bool:
        """Whether the launcher was stopped at the last look."""
        return self._since is not None

    def look(self, now: float) -> float | None:
        """Look; returns how many seconds the launcher was stopped, once it goes on again."""
        if self._pid is None or (self._since is None and now < self._look_at):
            return None
        self._look_at = now + LOOK_S
        if is_frozen(self._pid):
            self._since = now if self._since is None else self._since
            self.warning = frozen_text(self._pid)
            if not self._is_said and now - self._since >= SAID_AFTER_S:
                self._is_said = True
                self._say(self.warning, journal_stream.WARNING)
            return None
        since, self._since, self.warning = self._since, None, None
        if self._is_said:
            self._is_said = False
            self._say("the launcher goes on again", journal_stream.INFO)
        return None if since is None else now - since

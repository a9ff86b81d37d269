"""Warns of valid checkpoints that are on record and not on the disk."""

from supervisor.daemon.tell.console import Console
from supervisor.daemon.tell.status import StatusFacts
from supervisor.survey.answer import Survey
from supervisor.system import journal_stream
from supervisor.system.clock import monotonic_s

# A trainer may remove its old checkpoint first: the new one is there after so long at most.
AGAIN_S = 30.0


class MissingCheckpoints:
    """What surveys find missing, while an attempt trains."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._since: float | None = None

    def note(self, survey: Survey, facts: StatusFacts, *, alive: bool) -> float | None:
        """Warn of checkpoints that stay away; after how many seconds to survey again, or None."""
        now = monotonic_s()
        if survey.missing is None or not alive:
            self._since = facts.missing = None
            return None
        if self._since is None:
            self._since = now
        if now - self._since >= AGAIN_S:
            if facts.missing is None:
                line = f"{survey.missing.sentence}; training goes on"
                self._console.say(line, journal_stream.WARNING)
            facts.missing = survey.missing.sentence
        return AGAIN_S

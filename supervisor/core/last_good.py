"""Which attempt was the last good one, and what is different since; from the ledger's entries."""

from dataclasses import dataclass, replace

from supervisor.core.entries.attempt import ChangedEntry


@dataclass(frozen=True, slots=True)
class GoodAttempt:
    """An attempt that made durable progress."""

    attempt: int
    step_s: float | None = None
    """How long a step of it typically took; None: not known."""


@dataclass(frozen=True, slots=True)
class LastGood:
    """The last attempt, and the last good one before it."""

    attempt: int = 0
    has_progressed: bool = False
    """The last attempt made durable progress."""
    step_s: float | None = None
    """How long a step of the last attempt typically took, once its end is on record."""
    before: GoodAttempt | None = None
    """The last good attempt before the last attempt."""
    ended: int = 0
    """The last attempt whose end is on record."""
    changed: ChangedEntry | None = None
    """What was different in that attempt. None: nothing, or it did not die of a failure."""

    def with_start(self, attempt: int) -> "LastGood":
        """An attempt has started."""
        if attempt == self.attempt:
            return self  # a network file system may have the entry twice
        before = self.before
        if self.has_progressed and self.attempt:
            before = GoodAttempt(self.attempt, self.step_s)
        return LastGood(attempt, before=before, ended=self.ended, changed=self.changed)

    def with_progress(self) -> "LastGood":
        """Durable progress was made: by the last attempt, even if it is seen only later."""
        return replace(self, has_progressed=True)

    def with_end(self, step_s: float | None) -> "LastGood":
        """The last attempt has ended."""
        return replace(self, step_s=step_s, ended=self.attempt, changed=None)

    def with_change(self, changed: ChangedEntry) -> "LastGood":
        """It is known what was different in an attempt; it may have become known late."""
        return replace(self, changed=changed) if changed.attempt == self.ended else self

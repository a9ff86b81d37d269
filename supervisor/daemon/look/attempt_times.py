"""When a run's attempts began and ended, by the wall clock: a survey judges file times by it."""

from dataclasses import dataclass

from supervisor.core.history import History


@dataclass(slots=True)
class AttemptTimes:
    """When attempts began and ended, in seconds since 1970; None where there was none.

    `first`: the run's first attempt. `begun`: the last attempt that began from nothing. `started`
    and `ended`: the last attempt.
    """

    first: float | None = None
    begun: float | None = None
    started: float | None = None
    ended: float | None = None
    was_killed: bool = True
    """The last attempt was cut off, or nobody saw its end."""
    last_step: int | None = None
    """The highest step that the last attempt was seen at."""

    @classmethod
    def of(cls, history: History) -> "AttemptTimes":
        """The times in the ledger."""
        return cls(
            history.first_attempt_wall, history.begun_wall, history.attempt_wall,
            history.ended_wall, history.ended_killed, history.ended_step,
        )  # fmt: skip

    def note_launch(self, wall: float, *, is_fresh: bool) -> None:
        """An attempt starts now, from nothing or not."""
        self.first = wall if self.first is None else self.first
        self.begun = wall if is_fresh else self.begun
        self.started, self.ended = wall, None
        self.was_killed, self.last_step = True, None

    def note_end(self, wall: float, *, was_killed: bool, step: int | None) -> None:
        """The attempt has ended."""
        self.ended, self.was_killed, self.last_step = wall, was_killed, step

    def note_clock(self, wall: float) -> None:
        """Lower the first attempt's time where the clock was set back.

        A checkpoint that is newer than this time and has no manifest is taken for this run's own.
        """
        if self.first is not None:
            self.first = min(self.first, wall)

"""Hints that saving more often, or less often, would lose less time to failures.

`status` shows the newest hint alone. A run is told a few, whatever its saves take.
"""

from collections import deque
from statistics import median_high

from supervisor.core.entries.attempt import AttemptEndedEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.trainer import IntervalHintEntry
from supervisor.core.replayed_end import is_death
from supervisor.core.rules.recovery import Recovery, advice_sentence
from supervisor.core.rules.save_interval import (
    FAR,
    SaveAdvice,
    mean_time_to_failure_s,
    save_advice,
)
from supervisor.core.states import State
from supervisor.core.vocabulary import Phase
from supervisor.daemon.run import Run

_RECOVERY_S = 60.0
# The usual one of so many saves: a slow moment of the disk makes one take far longer.
_SAVES = 8
_TOLD_MOST = 4


class IntervalHints:
    """Follows the saves of one run."""

    def __init__(self, run: Run) -> None:
        history = run.history
        self.sentence = history.interval_hint
        """The newest hint; None while the interval is not far from the best one."""
        self._run = run
        self._told = history.interval_told
        self._count = history.interval_hints
        self._deaths = history.deaths
        known = history.last_save_s
        self._took_s: deque[float] = deque([known] if known else [], maxlen=_SAVES)
        self._last: tuple[int, float] | None = None
        run.journal.listeners.append(self._note)

    def _note(self, entry: Entry) -> None:
        if isinstance(entry, AttemptEndedEntry):
            self._deaths += is_death(entry)

    def note_save(self, attempt: int, took_s: float | None) -> None:
        """How long the attempt's last save took, as seen now."""
        if took_s and (attempt, took_s) != self._last:
            self._last = attempt, took_s
            self._took_s.append(took_s)

    def _usual_s(self) -> float:
        # Of an even number: if every second save is slow, the median of an odd one would jump.
        times = list(self._took_s)
        return median_high(times[len(times) % 2 :] or times)

    def poll(self, known: Recovery, state: State) -> None:
        """Tell of the interval, if that is news."""
        interval_s = known.interval_s
        if interval_s is None or not self._took_s:
            return
        save_s = self._usual_s()
        spent = state.account
        trained_s = spent.training_s + spent.saving_s + spent.replaying_s + spent.unknown_s
        mttf_s = mean_time_to_failure_s(self._deaths, trained_s)
        recovery_s = state.learned.get(Phase.STARTUP) or _RECOVERY_S
        advice = save_advice(interval_s, save_s, mttf_s, recovery_s, known.step_s)
        if advice is None:
            self.sentence = None
            return
        is_new = self._is_new(advice)
        if is_new or self.sentence is None:
            self.sentence = advice_sentence(advice, None if known.is_by_format else known.trainer)
        if not is_new:
            return
        self._told = advice.interval_s, advice.best_s
        if self._count >= _TOLD_MOST:
            return
        self._count += 1
        self._run.journal.record(
            IntervalHintEntry(
                attempt=state.attempt,
                interval_s=round(interval_s, 1),
                best_s=round(advice.best_s, 1),
                save_s=round(save_s, 3),
                failure_s=round(mttf_s),
                sentence=self.sentence,
            )
        )
        self._run.console.say_paragraph(f"recovery: {self.sentence}.")

    def _is_new(self, advice: SaveAdvice) -> bool:
        """Whether the interval or the best one is another than was told."""
        if self._told is None:
            return True
        now = (advice.interval_s, advice.best_s)
        pairs = zip(now, self._told, strict=True)
        # In the ledger a very short one is rounded to nothing.
        return any(not b or not 1 / FAR <= a / b <= FAR for a, b in pairs)

"""Hints that saving more often, or less often, would lose less time to failures.

`status` shows the newest hint alone. A run is told a few, whatever its saves take.
"""

from supervisor.core.entries.trainer import IntervalHintEntry
from supervisor.core.rules.recovery import Recovery, advice_sentence
from supervisor.core.rules.save_interval import FAR, SaveAdvice, save_advice
from supervisor.core.states import State
from supervisor.daemon.look.save_costs import SaveCosts
from supervisor.daemon.run import Run

_TOLD_MOST = 4
# Saves that come too often cost little: that is no news of a training that is shorter.
_LONG_S = 600.0


class IntervalHints:
    """Follows the saves of one run."""

    def __init__(self, run: Run, costs: SaveCosts) -> None:
        history = run.history
        self.sentence = history.interval_hint
        """The newest hint; None while the interval is not far from the best one."""
        self._run = run
        self._costs = costs
        self._told = history.interval_told
        self._count = history.interval_hints

    def poll(self, known: Recovery, state: State) -> None:
        """Tell of the interval, if that is news."""
        interval_s, save_s = known.interval_s, self._costs.save_s
        if interval_s is None or save_s is None:
            return
        mttf_s, recovery_s = self._costs.mttf_s(state), self._costs.recovery_s(state)
        advice = save_advice(interval_s, save_s, mttf_s, recovery_s, known.step_s)
        if advice is None or known.is_auto or not _is_of_use(advice, state):
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


def _is_of_use(advice: SaveAdvice, state: State) -> bool:
    """Whether a longer interval is still one of a training like this."""
    if advice.best_s <= advice.interval_s:
        return True
    said = state.description
    total = None if said is None else said.total_steps
    is_whole = total is not None and advice.best_steps is not None and 2 * advice.best_steps > total
    return state.account.training_s >= _LONG_S and not is_whole

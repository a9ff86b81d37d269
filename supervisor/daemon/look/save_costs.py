"""What the saves of one run cost and how often it fails: from that follows how often to save.

Nothing is decided by it but the interval of a trainer that asks for it (`interval: auto`).
"""

import json
from collections import deque
from pathlib import Path

from supervisor.config.model import RunConfig
from supervisor.core.entries.attempt import AttemptEndedEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.saves import AutoInterval, SaveIntervalEntry
from supervisor.core.json_form import from_json, to_json
from supervisor.core.measured_recovery import is_death
from supervisor.core.rules.save_interval import (
    DAY_S,
    RECOVERY_S,
    best_interval_s,
    best_steps,
    mean_time_to_failure_s,
    usual_s,
    within,
)
from supervisor.core.save_interval_status import SaveIntervalStatus
from supervisor.core.save_terms import (
    SAVES_TOLD,
    SavesTold,
    SaveTerms,
    sane_interval_s,
    sane_save_s,
)
from supervisor.core.states import Account, State
from supervisor.core.vocabulary import Phase
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.run import Run
from supervisor.system.clock import wall_s
from supervisor.system.small_file import read_small_file

_SAVES = 8
# The ledger gets another interval only if it differs by this part.
_DIFFERENCE = 0.1
_ENTRIES_MAX = 50
_MOST_BYTES = 4096


class SaveCosts:
    """Follows the saves and failures of one run, over its attempts."""

    def __init__(self, run: Run) -> None:
        history = run.history
        self._run = run
        self._deaths = history.deaths
        self._recoveries = history.recoveries
        self._last_training = history.last_training
        known, chosen = sane_save_s(history.last_save_s), history.chosen
        self._took_s: deque[float] = deque([known] if known else [], maxlen=_SAVES)
        self._last: tuple[int, float] | None = None
        self._recorded = None if chosen is None else sane_interval_s(chosen.interval_s)
        by = None if chosen is None else chosen.auto
        self._told_s = None if by is None else sane_save_s(by.save_s)
        self._entries = 0
        self._attempt = 0
        self._seen: tuple[int, int] | None = None
        self.told: SavesTold | None = None
        """What the running attempt's `Checkpointer` tells; None: nothing."""
        run.journal.listeners.append(self._note)

    def _note(self, entry: Entry) -> None:
        self._recoveries = self._recoveries.with_entry(entry, wall_s())
        self._last_training = self._last_training.with_entry(entry)
        if isinstance(entry, AttemptEndedEntry):
            self._deaths += is_death(entry)

    @property
    def save_s(self) -> float | None:
        """How long a save holds training up, usually; None: not known yet."""
        return self._told_s or (usual_s(self._took_s) if self._took_s else None)

    def recovery_s(self, state: State) -> float:
        """From a failure to the first new step: as measured, else about as long as a start."""
        took_s = self._recoveries.usual_s or state.learned.get(Phase.STARTUP) or RECOVERY_S
        return within(took_s, DAY_S)

    def mttf_s(self, state: State) -> float:
        """The mean time to failure."""
        nodes = 1 if self.told is None else self.told.nodes
        return mean_time_to_failure_s(self._deaths, _trained_s(state.account), nodes)

    def terms(self, config: RunConfig, state: State) -> str | None:
        """What the next attempt is told, as JSON; None where its own interval counts."""
        wanted = config.checkpoints
        if wanted.interval is None:
            return None
        terms = SaveTerms(
            min_s=wanted.interval_min,
            max_s=wanted.interval_max,
            failures=self._deaths,
            trained_s=round(_trained_s(state.account), 1),
            recovery_s=round(self.recovery_s(state), 1),
            save_s=self.save_s,
            interval_s=self._last_training.first_interval_s(self._recorded, wanted.interval_min),
        )
        return json.dumps(to_json(terms))

    def look(self, attempt: RunningAttempt) -> None:
        """Take in how long the last save took, and what a `Checkpointer` tells."""
        if attempt.number != self._attempt:
            self._attempt, self._seen, self.told, self._entries = attempt.number, None, None, 0
        took_s = sane_save_s(attempt.last_save_s)
        if took_s and (attempt.number, took_s) != self._last:
            self._last = attempt.number, took_s
            self._took_s.append(took_s)
        self._read(attempt.heartbeat_dir / SAVES_TOLD)

    def _read(self, path: Path) -> None:
        """Read the file if it is another one. Any process of the user may have written it."""
        try:
            at = path.lstat()
            if (at.st_ino, at.st_mtime_ns) == self._seen:
                return
            self._seen = at.st_ino, at.st_mtime_ns
            said = from_json(SavesTold, json.loads(read_small_file(path, _MOST_BYTES)))
        except (OSError, ValueError, RecursionError):
            return
        if said is not None and said.attempt == self._attempt:
            self.told = said.sane()
            self._told_s = self.told.save_s or self._told_s

    def record(self, state: State) -> None:
        """Record the interval that the trainer has chosen, if it is another one."""
        told, before = self.told, self._recorded
        if told is None or not told.auto or told.interval_s is None:
            return
        now = told.interval_s
        if self._entries >= _ENTRIES_MAX:
            return
        if before is not None and abs(now - before) <= _DIFFERENCE * before:
            return
        self._recorded, self._entries = now, self._entries + 1
        chosen = AutoInterval(
            save_s=None if told.save_s is None else round(told.save_s, 4),
            failures=self._deaths,
            failure_s=round(self.mttf_s(state)),
            recovery_s=round(self.recovery_s(state), 1),
        )
        self._run.journal.record(
            SaveIntervalEntry(attempt=self._attempt, interval_s=round(now, 3), auto=chosen)
        )

    def status(
        self, state: State, present_s: float | None, step_s: float | None
    ) -> SaveIntervalStatus | None:
        """How often to save, and why; None until the cost of a save is known."""
        save_s = self.save_s
        if save_s is None:
            return None
        mttf_s, recovery_s = self.mttf_s(state), self.recovery_s(state)
        best_s = best_interval_s(save_s, mttf_s, recovery_s)
        return SaveIntervalStatus(
            present_s=None if present_s is None else round(present_s, 1),
            best_s=round(best_s, 1),
            best_steps=best_steps(best_s, step_s),
            save_s=round(save_s, 4),
            failures=self._deaths,
            mttf_s=round(mttf_s),
            recovery_s=round(recovery_s, 1),
            auto=self.told is not None and self.told.auto,
        )


def _trained_s(spent: Account) -> float:
    trained_s = spent.training_s + spent.saving_s + spent.replaying_s + spent.unknown_s
    return max(trained_s, 0.0)

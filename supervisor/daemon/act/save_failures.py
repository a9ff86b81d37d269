"""What goes wrong while training goes on: failed saves, a runtime directory that vanished."""

import re
from collections.abc import Callable
from pathlib import Path

from supervisor.core.effects import Incident
from supervisor.core.entries.saves import SaveFailedEntry
from supervisor.core.states import State
from supervisor.core.vocabulary import Failure
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.look.memory_tier import PersistFailure, Snapshots
from supervisor.daemon.run import Run
from supervisor.system import journal_stream
from supervisor.system.clock import monotonic_s, wall_s

# The trainer prints a failure that the persister told it of, and either may be read first.
SAME_SAVE_S = 60.0
_STEP = re.compile(r"\bstep=(\d+)")
_FULL = ("No space left", "Disk quota exceeded", "File too large")


class SaveFailures:
    """Records each failure once. It decides nothing."""

    def __init__(
        self, run: Run, snapshots: Snapshots, keep_incident: Callable[[Incident], Path | None]
    ) -> None:
        self._run = run
        self._snapshots = snapshots
        self._keep_incident = keep_incident
        self._failed_steps: dict[int, float] = {}
        self._unrepaired = False

    def note_lines(self, attempt: RunningAttempt) -> None:
        """Failed saves that the trainer printed."""
        for line in attempt.failed_saves():
            found = _STEP.search(line)
            if found is not None and self._is_known(int(found[1])):
                continue
            self._record(attempt.number, line[:500])

    def note_failed_persist(self, failure: PersistFailure, state: State) -> None:
        """A failed save that the persister reports; a row of failures makes one incident."""
        result = failure.result
        error = result.error or "no reason was given"
        line = f"checkpoint save FAILED step={result.step} error={error}"
        if not self._is_known(result.step):
            self._record(state.attempt, line, failed_at=result.at)
        if failure.is_first:
            is_full = any(word in error for word in _FULL)
            self._keep_incident(
                Incident(
                    state.attempt,
                    Failure.DISK_FULL if is_full else Failure.FILESYSTEM,
                    f"the snapshot of step {result.step} could not be put onto the disk: {error}",
                    (line,),
                    "training goes on; the next save tries again from scratch",
                )
            )

    def _is_known(self, step: int) -> bool:
        """Whether this step's failure was noted within the last minute; it is noted from now on."""
        now = monotonic_s()
        before = self._failed_steps.get(step)
        recent = {known: at for known, at in self._failed_steps.items() if now - at < SAME_SAVE_S}
        self._failed_steps = {**recent, step: now}
        return before is not None and now - before < SAME_SAVE_S

    def _record(self, attempt: int, line: str, failed_at: float | None = None) -> None:
        at = wall_s() if failed_at is None else failed_at
        self._run.journal.record(SaveFailedEntry(attempt=attempt, line=line, failed_at=at))
        said = f"a save failed; training goes on: {line[:200]}"
        self._run.console.say(said, journal_stream.WARNING)

    def note_vanished(self, attempt: RunningAttempt) -> None:
        """Make the runtime directory again: trainer and persister come back to it by themselves."""
        what = f"{self._run.runtime.root} vanished (systemd-logind's RemoveIPC does that)"
        try:
            self._run.runtime.repair(attempt.number)
        except OSError as error:
            if not self._unrepaired:
                self._unrepaired = True
                self._keep(
                    attempt.number, what, f"the directory cannot be made again: {error.strerror}"
                )
            return
        self._unrepaired = False
        self._snapshots.forget_order()
        self._keep(
            attempt.number, what, "the directory was made again; snapshots in memory begin anew"
        )

    def _keep(self, attempt: int, what: str, done: str) -> None:
        self._keep_incident(Incident(attempt, Failure.UNKNOWN, what, (), done))
        self._run.console.say(f"{what}: {done}", journal_stream.WARNING)

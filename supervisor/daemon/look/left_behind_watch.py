"""Watches the processes that a main process left, from its end until the attempt's end."""

from collections.abc import Callable

from supervisor.core.events import Event
from supervisor.core.states import State
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.look.endings import SeenEnd, judged_end
from supervisor.daemon.look.left_behind import LeftBehind, as_its_end
from supervisor.daemon.run import Run
from supervisor.daemon.tell.status import StatusFacts
from supervisor.launcher.messages import ExitedReport, MainExitedReport
from supervisor.system.clock import monotonic_s


class LeftWatch:
    """Called from the loop. Most attempts leave no processes, and then it does nothing."""

    def __init__(self, run: Run, facts: StatusFacts, emit: Callable[[Event], None]) -> None:
        self._run = run
        self._facts = facts
        self._emit = emit
        self._left: tuple[RunningAttempt, LeftBehind] | None = None

    def on_main_exited(self, attempt: RunningAttempt, report: MainExitedReport) -> None:
        """The main process has ended. An older launcher asks nothing: it has ended the others."""
        if report.awaits_word:
            attempt.observe(monotonic_s())
            left = LeftBehind(self._run, attempt, report)
            self._left = attempt, left
            self._emit(left.begun())

    def look(self, state: State, now: float) -> None:
        """Look at the processes that were left; called after each look at the attempt."""
        if self._left is None:
            return
        attempt, left = self._left
        left.note_lines()
        seen = left.look(now, is_in_memory=state.memory is not None)
        if seen is not None:
            self._emit(seen)
            self._facts.trainer_pid = attempt.pid

    def end_of(self, report: ExitedReport, state: State) -> SeenEnd:
        """An attempt's end, judged by the processes that trained in the main process's place."""
        return judged_end(self._as_its_end(report, state), state)

    def _as_its_end(self, report: ExitedReport, state: State) -> SeenEnd:
        known, self._left = self._left, None
        if report.code != 0:
            return SeenEnd.of(report)
        # An earlier daemon may have seen training, which ended while no daemon was there.
        trained = self._run.history.left_training == report.attempt
        if known is None:
            return as_its_end(report, frozenset(), trained=trained)
        left, on_trial = known[1], state.left is not None
        trained = trained or left.trains or (state.left is not None and state.left.trains)
        suspects = left.suspects() if on_trial and not trained else frozenset[int]()
        return as_its_end(report, left.trainers() if trained else suspects, trained=trained)

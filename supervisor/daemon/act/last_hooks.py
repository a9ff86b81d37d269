"""At the end of a supervisor: waits for its hooks, as long as the end leaves time for them."""

from collections.abc import Callable

from supervisor.core.states import State
from supervisor.core.vocabulary import Intent, RunState, StopSource
from supervisor.daemon.act.hooks import Hooks
from supervisor.daemon.launcher_link import LauncherLink
from supervisor.daemon.look.operator_intent import OperatorIntent
from supervisor.daemon.run import Run
from supervisor.daemon.tell.systemd import ServiceManager
from supervisor.launcher.messages import Noted, SignalReport
from supervisor.system.clock import monotonic_s

_PAUSE_S = 0.05
# A wait that nobody would notice is not told.
_TOLD_AFTER_S = 1.0
# What SLURM still has to be asked for, before it kills the job.
_RESERVE_S = 10.0
# After these ends a person types `supervisor resume` and `supervisor run`.
_RESUMED = frozenset({RunState.HELD, RunState.STUCK, RunState.STOPPED})


class LastHooks:
    """Whatever asks the supervisor to end, while it waits, ends the hooks at once."""

    def __init__(
        self,
        hooks: Hooks,
        run: Run,
        link: LauncherLink,
        service: ServiceManager,
        intent: OperatorIntent,
        show: Callable[[], None],
    ) -> None:
        """`show`: writes the status."""
        self._hooks = hooks
        self._run = run
        self._link = link
        self._service = service
        self._intent = intent
        self._show = show

    def finish(self, state: State, *, is_end: bool) -> None:
        """Run what is due, and wait for it: at the run's end, not at a reload."""
        began = monotonic_s()
        until = hooks_end_at(state, self._run.config.grace, began) if is_end else began
        while is_end and self._hooks.unfinished and monotonic_s() < until:
            self._hooks.poll(state, lambda event: None)
            self._service.turned(state, None, monotonic_s())
            self._link.wait(_PAUSE_S)
            is_long = monotonic_s() - began >= _TOLD_AFTER_S
            if is_long and self._hooks.awaited is None and self._hooks.unfinished:
                self._tell(state)
            if self._is_asked_to_end(state):
                break
        if is_end and self._hooks.unfinished:
            names = ", ".join(self._hooks.unfinished)
            self._run.console.say(f"the supervisor ends, and with it the hook {names}")
            self._run.journal.log.warning("hooks_cut_short", hooks=self._hooks.unfinished)
        self._hooks.close()
        if self._hooks.awaited is not None or (is_end and self._hooks.warnings):
            self._hooks.awaited = None
            self._show()

    def _tell(self, state: State) -> None:
        """Say what is waited for, and that another supervisor can start only after it."""
        names = ", ".join(self._hooks.unfinished)
        line = f"waiting for the hook {names}; a signal ends it"
        if state.run in _RESUMED:
            line += ", and so does `supervisor resume`; `supervisor run` can follow then"
        self._hooks.awaited = f"the supervisor is {line}"
        self._run.console.say(line)
        self._show()

    def _is_asked_to_end(self, state: State) -> bool:
        ends = ("INT", *self._run.config.signals)
        for report in self._link.receive():
            if isinstance(report, SignalReport):
                self._link.send(Noted())  # the launcher takes a daemon that is silent for frozen
                if report.signal in ends:
                    return True
        changed = self._intent.changed()
        goes_on = changed is Intent.RUN and state.run is not RunState.COMPLETED
        return self._link.is_lost or changed is Intent.STOP or goes_on


def hooks_end_at(state: State, grace_s: float, now: float) -> float:
    """Until when hooks may run on, by CLOCK_MONOTONIC; each has its own deadline besides."""
    limit = float("inf")
    if state.job is not None and state.job.until is not None:
        left_s = max(state.job.until - now, 0.0)
        limit = now + left_s - min(_RESERVE_S, left_s / 2)
    stop = state.stop
    is_withdrawn = stop is not None and stop.by is StopSource.INTENT and stop.besides is None
    if stop is not None and not (is_withdrawn and state.intent is Intent.RUN):
        # After a stop the supervisor waits for the grace at most, however the run has ended.
        return min(limit, stop.until)
    is_stopped = state.run in (RunState.PREEMPTED, RunState.STOPPED)
    return min(limit, now + grace_s) if is_stopped else limit

"""At the end of a supervisor: waits for its hooks, as long as the end leaves time for them."""

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


class LastHooks:
    """Whatever asks the supervisor to end, while it waits, ends the hooks at once."""

    def __init__(
        self,
        hooks: Hooks,
        run: Run,
        link: LauncherLink,
        service: ServiceManager,
        intent: OperatorIntent,
    ) -> None:
        self._hooks = hooks
        self._run = run
        self._link = link
        self._service = service
        self._intent = intent

    def finish(self, state: State, *, is_end: bool) -> None:
        """Run what is due, and wait for it: at the run's end, not at a reload."""
        began = monotonic_s()
        until = hooks_end_at(state, self._run.config.grace, began) if is_end else began
        is_told = False
        while is_end and self._hooks.unfinished and monotonic_s() < until:
            self._hooks.poll(state, lambda event: None)
            self._service.turned(state, None, monotonic_s())
            self._link.wait(_PAUSE_S)
            if not is_told and monotonic_s() - began >= _TOLD_AFTER_S and self._hooks.unfinished:
                is_told = True
                names = ", ".join(self._hooks.unfinished)
                self._run.console.say(f"waiting for the hook {names}; a signal ends it")
            if self._is_asked_to_end():
                break
        if is_end and self._hooks.unfinished:
            names = ", ".join(self._hooks.unfinished)
            self._run.console.say(f"the supervisor ends, and with it the hook {names}")
            self._run.journal.log.warning("hooks_cut_short", hooks=self._hooks.unfinished)
        self._hooks.close()

    def _is_asked_to_end(self) -> bool:
        ends = ("INT", *self._run.config.signals)
        for report in self._link.receive():
            if isinstance(report, SignalReport):
                self._link.send(Noted())  # the launcher takes a daemon that is silent for frozen
                if report.signal in ends:
                    return True
        return self._link.is_lost or self._intent.changed() is Intent.STOP


def hooks_end_at(state: State, grace_s: float, now: float) -> float:
    """Until when hooks may run on, by CLOCK_MONOTONIC; each has its own deadline besides."""
    limit = float("inf")
    if state.job is not None and state.job.until is not None:
        left_s = max(state.job.until - now, 0.0)
        limit = now + left_s - min(_RESERVE_S, left_s / 2)
    stop = state.stop
    is_withdrawn = stop is not None and stop.by is StopSource.INTENT and stop.besides is None
    if stop is not None and not (is_withdrawn and state.intent is Intent.RUN):
        # Whoever asked for the stop waits for the grace, and no longer, however the run has ended.
        return min(limit, stop.until)
    is_stopped = state.run in (RunState.PREEMPTED, RunState.STOPPED)
    return min(limit, now + grace_s) if is_stopped else limit

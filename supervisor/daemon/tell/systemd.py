"""Tells systemd and the launcher that the daemon's loop turns, and systemd how the run is.

Nothing here decides; without systemd only the launcher is told.
"""

from supervisor.core.reactions.launch_hook import is_asked
from supervisor.core.states import State
from supervisor.core.vocabulary import TERMINAL, Phase, RunState, StopSource
from supervisor.daemon.launcher_link import Send
from supervisor.daemon.look.observer import Observation
from supervisor.launcher.messages import Alive
from supervisor.system import journal_stream, sd_notify

# The launcher waits a third of systemd's WatchdogSec=, a minute at most
# (launcher/children/daemon_watchdog.py).
SIGNS_IN_WATCHDOG = 9
LONGEST_PAUSE_S = 5.0
STATUS_S = 1.0
# A frozen daemon may have to be replaced in the middle of a stop. That takes less than this: the
# launcher's wait, and a new daemon's start.
EXTENSION_S = 90.0


class ServiceManager:
    """The run as systemd's unit; `send_order` reaches the launcher."""

    def __init__(self, send_order: Send, run_dir: str) -> None:
        self._send_order = send_order
        self._run_dir = run_dir
        watchdog_s = sd_notify.watchdog_s()
        self._pause_s = min(LONGEST_PAUSE_S, (watchdog_s or 1e9) / SIGNS_IN_WATCHDOG)
        self._listens = sd_notify.is_listened_to()
        self._sign_at = self._status_at = 0.0
        self._status = ""
        self._is_ready = self._is_stopping = False

    def turned(self, state: State, look: Observation | None, now: float) -> None:
        """Send what is due; the loop calls it once a turn."""
        if now >= self._sign_at:
            self._sign_at = now + self._pause_s
            self._send_order(Alive())
            sd_notify.notify("WATCHDOG=1")
        if self._listens and now >= self._status_at:
            self._status_at = now + STATUS_S
            sd_notify.notify(*self._news(state, look))

    def _news(self, state: State, look: Observation | None) -> list[str]:
        news = []
        if not self._is_ready:
            self._is_ready = True
            news.append("READY=1")
        text = status_text(state, look)
        if text != self._status:
            self._status = text
            news.append(f"STATUS={text}")
        # Not at `supervisor stop`: `supervisor resume` may still take that back.
        by_signal = state.stop is not None and state.stop.by is not StopSource.INTENT
        if by_signal and not self._is_stopping:
            self._is_stopping = True
            news.append("STOPPING=1")
        if state.stop is not None:
            news.append(f"EXTEND_TIMEOUT_USEC={EXTENSION_S * 1e6:.0f}")
        return news

    def ended(self, state: State) -> None:
        """Send the last status, and wait until systemd has read it. At a reload send nothing."""
        if not self._listens or state.run not in TERMINAL:
            return
        text = status_text(state, None)
        if state.run in (RunState.HELD, RunState.STUCK):
            text += f" -- then: supervisor resume {self._run_dir}, and start the unit again"
        else:
            # A finished run that is started again ends before its loop has said READY=1. systemd
            # takes an end without READY=1 for a failure.
            sd_notify.notify("READY=1")
        extend = f"EXTEND_TIMEOUT_USEC={EXTENSION_S * 1e6:.0f}"
        sd_notify.notify(f"STATUS={text}", "STOPPING=1", extend)
        sd_notify.wait_until_heard()


def status_text(state: State, look: Observation | None) -> str:
    """One line on the run, for `systemctl status`."""
    activity, newest = state.activity, state.newest
    words = []
    match state.run:
        case RunState.LAUNCHING:
            doing = "the checkpoints are read" if state.surveying else "the command is started"
            doing = state.reason if is_asked(state) else doing
            number = state.attempt + (state.surveying or is_asked(state))
            words.append(f"launching attempt {number}: {doing}")
        case RunState.RUNNING | RunState.DRAINING | RunState.KILLING:
            words.append(f"{state.run}: attempt {state.attempt}")
            if activity.step is not None:
                words.append(f"step {activity.step:,}")
            if look is not None and look.loss is not None:
                words.append(f"loss {look.loss:.4g}")
            if activity.attached and activity.phase is not Phase.STEP:
                words.append(f"in {activity.phase.word}")
        case _:
            words.append(f"{state.run}: {state.reason}" if state.reason else str(state.run))
    if newest is not None and newest.step is not None and state.run not in TERMINAL:
        words.append(f"newest checkpoint at step {newest.step:,}")
    return ", ".join(words)


def priority_of(state: State) -> int:
    """The journal's priority for what is said at a decision that led to `state`."""
    match state.run:
        case RunState.HELD | RunState.STUCK:
            return journal_stream.ERROR
        case RunState.COMPLETED | RunState.PREEMPTED | RunState.STOPPED | RunState.DRAINING:
            return journal_stream.NOTICE
        case RunState.BACKOFF | RunState.WAITING | RunState.KILLING:
            return journal_stream.WARNING
        case RunState.LAUNCHING | RunState.RUNNING:
            return journal_stream.INFO if state.failure is None else journal_stream.WARNING

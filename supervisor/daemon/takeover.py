"""What a daemon begins with, from the ledger's history and the launcher's hello. Pure.

The model check (tests/model) begins its daemons with these very functions.
"""

from dataclasses import replace

from supervisor.core.events import Begun, Event, IntentChanged, StopAsked
from supervisor.core.history import History
from supervisor.core.launch_gate import LaunchGate
from supervisor.core.point_in_time import Moment
from supervisor.core.rules.warm_launch import AGAIN_S, Parked, ParkedStage
from supervisor.core.states import Activity, State
from supervisor.core.vocabulary import Failure, Intent, StopSource
from supervisor.launcher.messages import (
    ExitedReport,
    Hello,
    ParkedReport,
    Report,
    SignalReport,
)


def beginning(
    history: History, intent: Intent, state: State, hello: Hello, here: Moment | None = None
) -> tuple[Begun, State, list[Report]]:
    """The first event, the state to begin from, and the reports that no daemon has handled yet.

    `here` is the present moment by all clocks. With it the timers of the daemon before go on;
    without it they begin anew.
    """
    signal_at = hello.stop_signal_at or None
    signals: list[Report] = [
        SignalReport(signal=name, monotonic=signal_at) for name in hello.signals
    ]
    state = replace(state, parked=_parked(hello.parked, state.at))
    adopted, ended = hello.attempt, hello.last_exit
    unjudged = ended is not None and _is_unjudged(history, ended)
    running = adopted if adopted is not None else ended if unjudged else None
    if running is not None:
        number = running.attempt
        began = (None if adopted is None else adopted.started_monotonic) or state.at
        state = _with_running(state, number, history, began)
        begun = Begun(
            Intent.RUN,
            alive=True,
            stop_sent=adopted is not None and adopted.stop_sent,
            kill_sent=adopted is not None and adopted.kill_sent,
            stop_sent_at=None if adopted is None else adopted.stop_sent_at,
            kill_sent_at=None if adopted is None else adopted.kill_sent_at,
            stop_by=None if history.stop_late else history.stop_by or _asked_by(history, hello),
            stop_since=_stop_since(history, state, here),
            stop_wall=_stop_wall(history, state, hello, here),
            hung=history.hung,
            hung_as=history.hung_as,
            not_resumed=history.not_resumed,
        )
        late = [*signals]
        if adopted is None and ended is not None:
            late.insert(0, ended)
        if adopted is not None and number > history.attempt:
            # The daemon before died after it ordered the launch and before it recorded the start.
            late.insert(0, adopted.as_started())
        ending = None if adopted is None else adopted.ending
        if ending is not None and ending.awaits_word:
            late.append(ending)
        return begun, state, late
    begun = Begun(intent, held=history.held, finished=history.finished)
    pause = history.pause
    if pause is not None:
        left_s = pause.wait_s if here is None else pause.wait_s - pause.since.age_s(here)
        begun = replace(begun, pause=pause.state, wake_at=state.at + max(left_s, 0.0))
        state = replace(
            state,
            failure=pause.failure,
            action=pause.action,
            reason=pause.reason,
            full_place=pause.place,
        )
        if pause.failure is Failure.LAUNCH_REFUSED:
            state = replace(state, gate=LaunchGate(waited_s=pause.wait_s))
    return begun, state, signals


def _stop_since(history: History, state: State, here: Moment | None) -> float | None:
    if history.stop_at is None or here is None:
        return None
    return state.at - history.stop_at.age_s(here) + history.stop_excused_s


def _stop_wall(history: History, state: State, hello: Hello, here: Moment | None) -> float | None:
    """When the stop was asked for, by the wall clock: from the ledger, else from the launcher."""
    if history.stop_by is not None:
        return history.stop_wall
    asked = None if hello.attempt is None else hello.attempt.stop_sent_at
    if asked is None or here is None:
        return None
    # A signal to a whole job reached the trainer with the launcher, long before the sent stop.
    asked = min(asked, hello.stop_signal_at or asked)
    return here.wall - (state.at - asked)


def still_asked(
    history: History, intent: Intent, hello: Hello, *, alive: bool, wall: float | None = None
) -> list[Event]:
    """The stop and the intent that the daemon before heard and did not live to carry out.

    `alive`: an attempt runs, or its end is to be judged. `wall`: now, seconds since 1970.
    """
    asked: list[Event] = []
    by = _asked_by(history, hello)
    if alive:
        by = history.stop_by if history.stop_late else None
    if by is not None:
        at = history.stop_wall if alive else None
        asked.append(StopAsked(by, wall=at))
    if not alive:
        return asked
    if intent is not Intent.RUN:
        asked.append(IntentChanged(intent, wall))
    return asked


def _asked_by(history: History, hello: Hello) -> StopSource | None:
    """The signal that asked this launcher to end; a signal to an earlier launcher is over."""
    return history.asked_by if hello.daemon_restarts else None


def _is_unjudged(history: History, ended: ExitedReport) -> bool:
    number = ended.attempt
    return number > history.attempt or (number == history.attempt and history.last_attempt_open)


def _with_running(state: State, number: int, history: History, began: float) -> State:
    seen = history.first_step_seen and number == history.attempt
    activity = Activity(started_at=began, first_step_seen=seen, attached=seen)
    return replace(state, attempt=number, activity=activity)


def _parked(report: ParkedReport, now: float) -> Parked | None:
    """The spare interpreter that the launcher kept; None if none was ordered since the launch."""
    parked = parked_of(report, now)
    is_none = parked.stage is ParkedStage.ABSENT and parked.reason is None
    return None if is_none else parked


def parked_of(report: ParkedReport, now: float) -> Parked:
    """The core's facts on the spare interpreter, from the launcher's report."""
    again_at = now + AGAIN_S if report.has_died else None
    known = report.stage in {stage.value for stage in ParkedStage}
    stage = ParkedStage(report.stage) if known else ParkedStage.ABSENT
    return Parked(stage, report.since or now, report.reason, again_at)

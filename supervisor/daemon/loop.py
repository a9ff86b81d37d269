"""The daemon's loop, one thread and one selector: collect events, step, perform."""

import selectors
import signal
from collections import deque

from supervisor.core.events import (
    Event,
    Exited,
    IntentChanged,
    StacksTaken,
    Started,
    StopAsked,
    Suspended,
    Tick,
)
from supervisor.core.states import State
from supervisor.core.step import step
from supervisor.core.vocabulary import RunState, StopSource
from supervisor.daemon.act.launcher_lost import orphan_of, take_lock
from supervisor.daemon.act.orphan import OrphanedAttempt
from supervisor.daemon.act.performer import Performer
from supervisor.daemon.act.periodic import PeriodicWork
from supervisor.daemon.act.record_guard import RecordGuard
from supervisor.daemon.act.shutdown import shut_down
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.launcher_link import LauncherLink
from supervisor.daemon.look.file_notifications import WakeUps
from supervisor.daemon.look.frozen_launcher import FrozenLauncher
from supervisor.daemon.look.launcher_reports import start_failed, unkillable
from supervisor.daemon.look.left_behind_watch import LeftWatch
from supervisor.daemon.look.operator_intent import OperatorIntent
from supervisor.daemon.look.pace import pause_s
from supervisor.daemon.parts import Parts
from supervisor.daemon.run import Run
from supervisor.daemon.tell.status import StatusFacts
from supervisor.daemon.tell.systemd import ServiceManager
from supervisor.launcher import messages
from supervisor.launcher.protocol import Heard, Unfit
from supervisor.memory.slots import Whole
from supervisor.system.clock import monotonic_s, wall_s
from supervisor.system.self_pipe import SelfPipe

LEAST_POLL_S = 0.1
SUSPENDED_S = 5.0
STACKS_POLL_S = 0.05
ANSWER_POLL_S = 0.1


class Daemon:
    """One run's daemon, from its first look to the order to exit."""

    def __init__(
        self,
        run: Run,
        state: State,
        link: LauncherLink,
        facts: StatusFacts,
        wakeups: WakeUps,
        *,
        intent: OperatorIntent,
        lock_fd: int = -1,
    ) -> None:
        self.run = run
        self.state = state
        self._link = link
        self._orphan: OrphanedAttempt | None = None
        self._queue: deque[Event] = deque()
        self._facts = facts
        self._wakeups = wakeups
        self._signals = SelfPipe()
        self._signals.catch((signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD))
        emit = self._queue.append
        self.parts = Parts.of(run, link, emit, started_wall=facts.started_wall)
        self.performer = Performer(run, self.parts, emit)
        self.left_in_memory: Whole | None = None
        self._house = PeriodicWork(run, self.parts, self.performer, facts)
        self._left = LeftWatch(run, facts, self._queue.append)
        self._service = ServiceManager(link.send, str(run.paths.run_dir))
        self._intent = intent
        self._guard = RecordGuard(run, lock_fd, link)
        self._frozen = FrozenLauncher(facts.launcher_pid, run.console.say)
        self._reports: deque[Heard] = deque()
        self._polled_at = self._observe_at = 0.0
        self._next_poll = monotonic_s()
        self._reload = False
        self._lock_fd = lock_fd
        self._errors = 0

    def run_until_exit(self, first: list[Event], reports: list[Heard], then: list[Event]) -> int:
        """Turn until the core says exit; returns the run's exit code.

        -1 means a reload: the run goes on, and another daemon takes over.
        """
        selector = selectors.DefaultSelector()
        selector.register(self._link, selectors.EVENT_READ, "link")
        selector.register(self._wakeups.pipe, selectors.EVENT_READ, "wake")
        selector.register(self._signals, selectors.EVENT_READ, "signal")
        selector.register(self.run.surveyor, selectors.EVENT_READ, "survey")
        self.parts.scheduler.begin()
        self._queue.extend(first)
        for report in reports:
            self._on_report(report)
        self._queue.extend(then)
        self._settle()
        while self.performer.exit_code is None and not self._reload:
            attempt = self.parts.attempt
            look = attempt.look if attempt is not None else None
            self._service.turned(self.state, look, monotonic_s())
            self._wait(selector)
            with self.run.journal.together():
                self._turn()
        self.left_in_memory = shut_down(
            self.run, self.parts, self._house, self.state, link=self._link, service=self._service,
            intent=self._intent, is_end=self.performer.exit_code is not None,
        )  # fmt: skip
        return -1 if self.performer.exit_code is None else self.performer.exit_code

    def tell_last(self) -> None:
        """Tell others what came up after `run_until_exit`."""
        self._house.tell_last(self.state)

    def _turn(self) -> None:
        try:
            self._gather()
        except Exception:
            # The one broad except, around the looks alone: dying of a bug in a look gains nothing.
            # `_settle` stays outside. After a bug in a decision, or half of the effects, the run
            # needs a new daemon with fresh state.
            self._errors += 1
            self.run.journal.log.exception("daemon_error", count=self._errors)
            if self._errors >= 5:
                raise
        self._settle()

    def _wait(self, selector: selectors.BaseSelector) -> None:
        now = monotonic_s()
        until = min(self._next_poll, self._wake_at() or float("inf"))
        attempt = self.parts.attempt
        if attempt is not None and attempt.is_being_read:
            until = min(until, now + STACKS_POLL_S)
        if self.parts.snapshots.is_asked:
            until = min(until, now + ANSWER_POLL_S)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._link.unsent else 0)
        if not self._link.is_lost:
            selector.modify(self._link, events, "link")
        elif "link" in {key.data for key in selector.get_map().values()}:
            selector.unregister(self._link)
        ready = selector.select(max(until - now, 0.0))
        for key, _ in ready:
            if key.data == "wake":
                self._wakeups.pipe.drain()
                self._next_poll = min(self._next_poll, self._polled_at + LEAST_POLL_S)
        # Even if something woke the loop: this process was frozen, so nobody looked in time.
        late = monotonic_s() - until
        if late > SUSPENDED_S:
            self._queue.append(Suspended(late))

    def _wake_at(self) -> float | None:
        """When the state's time is over; None while a stopped launcher can end nothing."""
        is_ending = self.state.run in {RunState.DRAINING, RunState.KILLING}
        return None if is_ending and self._frozen.is_frozen else self.state.wake_at

    def _gather(self) -> None:
        self._link.flush()
        self._reports.extend(self._link.receive() if self._orphan is None else self._orphan.poll())
        # One by one: a report that raises must not cost the reports behind it.
        while self._reports:
            self._on_report(self._reports.popleft())
        if self._link.is_lost and self._orphan is None:
            self._on_launcher_lost()
        if signal.SIGHUP in self._signals.drain():
            self._reload = True
        self._poll_children()
        now = monotonic_s()
        if (wake_at := self._wake_at()) is not None and now >= wake_at:
            self._queue.append(Tick())
        if now >= self._next_poll:
            self._polled_at, self._next_poll = now, now + pause_s(self.state, now)
            self._poll(now)

    def _poll_children(self) -> None:
        if (answer := self.run.surveyor.poll()) is not None:
            self._house.take_survey(answer, self.state, self._queue.append)
        self.parts.prober.tell(self._queue.append, monotonic_s())
        self.parts.snapshots.poll_answer()
        self.parts.changes.poll(monotonic_s())
        self.parts.hooks.poll(self.state, self._queue.append)
        attempt = self.parts.attempt
        if attempt is not None and attempt.poll_stacks():
            self._queue.append(StacksTaken(attempt.number))
        if attempt is not None and (looked := attempt.poll_looks()) is not None:
            self._queue.append(looked)

    def _poll(self, now: float) -> None:
        self._guard.look(now, self.state.intent)
        if (stood_s := self._frozen.look(now)) is not None:
            self._queue.append(Suspended(stood_s))
        if (intent := self._intent.changed()) is not None:
            self._queue.append(IntentChanged(intent, wall_s()))
        self._facts.frozen, self._facts.unheard = self._frozen.warning, self._intent.warning
        self._wakeups.watch(self.run.surveyor.directory)  # the trainer may just have made it
        # Before the attempt is looked at: its log repeats what the persister says of a save.
        self._house.note_failed_persists(self.parts.snapshots.poll(now), self.state)
        attempt = self.parts.attempt
        # At its own pace, not at every wake-up. Saves wake the daemon: it would look during saves
        # too often, and the account would book too much time as saving.
        if attempt is not None and self.state.alive and now >= self._observe_at:
            self._observe_at = now + pause_s(self.state, now)
            self._queue.extend(attempt.look_events(now))
            self._house.note_look(attempt)
            self.parts.changes.note_look(attempt, now)
            self._left.look(self.state, now)
        self.parts.scheduler.poll(now)
        self._house.poll(self.state, now)

    def _on_report(self, report: Heard) -> None:
        attempt = self.parts.attempt
        number = -1 if attempt is None else attempt.number
        match report:
            case messages.StartedReport() if attempt is not None and report.attempt == number:
                attempt.started(report)
                self._house.note_started(attempt, self.state)
                self._queue.append(Started(number, attempt.is_warm, attempt.why_cold))
            case messages.ParkedReport():
                self.parts.standby.on_report(report, monotonic_s())
            case messages.StartFailedReport():
                self._queue.append(start_failed(report))
            case messages.MainExitedReport() if attempt is not None and report.attempt == number:
                self._left.on_main_exited(attempt, report)
            case messages.ExitedReport() if attempt is not None and report.attempt == number:
                self._on_exited(attempt, report)
            case messages.RelockedReport():
                self._reload = self._guard.remade(report) or self._reload
            case messages.UnkillableReport():
                self._queue.append(unkillable(report))
            case messages.SignalReport():
                self._on_signal(report.signal, report.monotonic)
            case Unfit():
                self.run.journal.log.error("report_left_out", what=report.what, why=report.why)

    def _on_exited(self, attempt: RunningAttempt, report: messages.ExitedReport) -> None:
        ending = attempt.ended(self._left.end_of(report, self.state), monotonic_s())
        was_killed = ending.was_killed or self.state.kill is not None
        self.parts.times.note_end(wall_s(), was_killed=was_killed, step=ending.step)
        self._house.note_last_look(attempt)
        if self.state.stop is None and not ending.ended_by_us:
            by = self.parts.scheduler.told_to_stop(ending.effective_code, ending.signal)
            if by is not None:
                self._queue.append(StopAsked(by))
        self._queue.extend((*attempt.last_events(monotonic_s()), Exited(ending)))

    def _on_signal(self, name: str, came_at: float | None) -> None:
        # A signal to a whole job reached the trainer at the same moment as the launcher.
        wall = wall_s() - max(monotonic_s() - (came_at or monotonic_s()), 0.0)
        self.run.journal.log.info("signal_received", signal=name)
        # The launcher takes a daemon that does not answer a signal for frozen, and replaces it.
        self.parts.orders.send(messages.Noted())
        if self.state.stop is None and name in ("INT", *self.run.config.signals):
            self.parts.scheduler.look()
        if name in ("INT", *self.run.config.signals):
            self._queue.append(StopAsked(StopSource(f"SIG{name}"), wall=wall))

    def _on_launcher_lost(self) -> None:
        """Have the trainer save and end, and launch nothing: nothing trains without a launcher."""
        self.run.journal.log.error("launcher_lost", attempt=self.state.attempt)
        self._frozen = FrozenLauncher(None, self.run.console.say)
        attempt = self.parts.attempt
        self._orphan = orphan_of(self.run.run_id, self.state.attempt, attempt)
        self.parts.orders = self._orphan
        self.parts.snapshots.forget_order()
        self.parts.standby.lost()
        # The lock outlives the launcher: nobody may launch while the trainer still saves.
        take_lock(self.run, self._lock_fd, self._facts.launcher_pid)
        self._queue.append(StopAsked(StopSource.LAUNCHER_DEATH, wall=wall_s(), is_anew=True))

    def _settle(self) -> None:
        while self._queue:
            event = self._queue.popleft()
            before = self.state
            self.state, effects = step(before, event, monotonic_s())
            if effects or self.state.run is not before.run:
                self.run.journal.log.info(
                    "decided",
                    on=type(event).__name__,
                    was=before.run.value,
                    state=self.state.run.value,
                    attempt=self.state.attempt,
                    reason=self.state.reason,
                    effects=[type(effect).__name__ for effect in effects],
                )
            for effect in effects:
                self.performer.perform(effect, self.state)
            if effects:
                self.parts.changes.poll(monotonic_s())
            if self.state.run is not before.run or effects:
                self._house.show(self.state)

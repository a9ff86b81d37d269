"""The launcher's one loop: collect events, hand them on, sleep. It decides nothing of the run."""

from __future__ import annotations

import os
import resource  # noqa: F401  # os.wait4 would import it after the wait, which takes a descriptor
import select
import signal
import time

from supervisor.core.vocabulary import ExitCode
from supervisor.launcher import messages, relock
from supervisor.launcher.attempt import Attempt
from supervisor.launcher.attempt_context import Surroundings
from supervisor.launcher.children.daemon import DaemonLink
from supervisor.launcher.children.persister import PersisterLink
from supervisor.launcher.children.view import start_view
from supervisor.launcher.console import say, say_exception, say_seldom
from supervisor.launcher.main_process import STOP_SIGNALS
from supervisor.launcher.protocol import Unfit
from supervisor.launcher.shutdown import Asked, Shutdown, Stage
from supervisor.launcher.signals import REPORTED, take_over
from supervisor.launcher.termination import UNKILLABLE_AFTER_S
from supervisor.system import cgroup, prctl
from supervisor.system.self_pipe import SelfPipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from supervisor.launcher.messages import Order

MOST_FAILED_STARTS = 5
PAUSE_AFTER_FAULT_S = 0.2
STOP_NAMES = tuple(REPORTED[number] for number in STOP_SIGNALS)


class Launcher:
    """The root process of one `supervisor run`."""

    def __init__(
        self,
        link: DaemonLink,
        view_argv: Sequence[str] | None = None,
        *,
        persister_argv: Sequence[str] | None = None,
        unkillable_after_s: float = UNKILLABLE_AFTER_S,
    ) -> None:
        self._link = link
        self._persister = PersisterLink(persister_argv)
        self._view_argv = view_argv
        self._view_pid = 0
        self._wakeup = SelfPipe()
        self._around = Surroundings(self._link.send, unkillable_after_s)
        self._attempt: Attempt | None = None
        self._last_exit: messages.ExitedReport | None = None
        self._has_launched = False
        self._has_taken_over = False
        self._ending: Shutdown | None = None

    def run(self) -> int:
        """Run until the end and return the exit code; an unexpected exception does not end it."""
        take_over(self._wakeup)
        prctl.become_subreaper()
        self._around.cgroup = cgroup.settle()
        if self._view_argv is not None:
            self._view_pid = start_view(self._view_argv)
        while True:
            try:
                self._turn()
                if self._ending is not None and self._ending.stage is Stage.DONE:
                    return self._ending.code
            except Exception as error:  # the trainer depends on this process: say it and go on
                say_exception("in the launcher", error)
                # A fault that repeats at once must not burn a core.
                select.poll().poll(PAUSE_AFTER_FAULT_S * 1000)

    def _turn(self) -> None:
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        link, attempt, parked = self._link, self._attempt, self._around.parked
        link_fd = report_fd = parked_fd = -1
        if link.lines is not None:
            link_fd = link.lines.fileno()
            wants_read, wants_write = link.wants()
            events = select.POLLIN * wants_read | select.POLLOUT * wants_write
            poll.register(link_fd, events)
        if attempt is not None and attempt.report_fd >= 0:
            report_fd = attempt.report_fd
            poll.register(report_fd, select.POLLIN)
        if parked.lines is not None:
            parked_fd = parked.lines.fileno()
            poll.register(parked_fd, select.POLLIN | select.POLLOUT * bool(parked.lines.unsent))
        ready = dict(poll.poll(self._timeout_ms()))
        for number in self._wakeup.drain():
            if number in REPORTED:
                self._on_signal(number)
        self._reap()
        if attempt is not None and report_fd in ready and attempt.report_fd == report_fd:
            attempt.on_report()
        if parked_fd in ready and parked.lines is not None and parked.lines.fileno() == parked_fd:
            parked.lines.flush()
            parked.read()
            if attempt is not None:
                attempt.hurry()
        events = ready.get(link_fd, 0)
        if events & select.POLLOUT:
            link.write()
        if events & ~select.POLLOUT:
            for order in link.read():
                self._obey(order)
        self._on_time()

    def _timeout_ms(self) -> float | None:
        parked = self._around.parked
        deadlines = [self._link.deadline(), self._persister.deadline(), parked.deadline()]
        if not self._has_taken_over:
            deadlines.append(self._link.takeover_at(STOP_NAMES))
        deadlines += [one.deadline() for one in (self._attempt, self._ending) if one is not None]
        known = [deadline for deadline in deadlines if deadline is not None]
        if not known:
            return None
        # Rounded up: waking a fraction of a millisecond early would only mean waking twice.
        return max(0.0, min(known) - time.monotonic()) * 1000 + 0.5

    def _reap(self) -> None:
        while True:
            try:
                # Only until it is reaped, a process that has ended has its session.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            is_foreign = self._around.is_foreign(ended.si_pid)
            pid, status, usage = os.wait4(ended.si_pid, 0)
            if pid == self._link.pid:
                for order in self._link.read(all_of_it=True):
                    self._obey(order)
                self._on_daemon_gone(status)
            elif pid == self._view_pid:
                self._view_pid = 0
            elif pid == self._persister.pid:
                self._persister.on_reaped(status)
            elif pid == self._link.absence.pid:
                self._link.absence.pid = 0
            else:
                self._on_child_reaped(pid, status, usage.ru_maxrss * 1024, is_foreign)

    def _on_child_reaped(
        self, pid: int, status: int, peak_rss_bytes: int, is_foreign: bool
    ) -> None:
        attempt, parked = self._attempt, self._around.parked
        if pid == parked.pid:
            is_the_program = parked.on_reaped(status)
            if attempt is not None:
                attempt.hurry()
                attempt.advance()
            if not is_the_program:
                return
        if attempt is not None:
            attempt.on_reaped(pid, status, peak_rss_bytes, is_foreign)

    def _on_daemon_gone(self, status: int) -> None:
        is_training = self._attempt is not None and self._attempt.has_process
        self._link.on_reaped(status, " (training goes on)" if is_training else "")
        if self._attempt is not None:
            self._attempt.cancel("the daemon that asked for it has ended")
        if self._ending is not None or self._has_launched:
            return
        if self._link.failures_in_a_row >= MOST_FAILED_STARTS:
            say(f"the daemon failed {MOST_FAILED_STARTS} times in a row; giving up")
            self._end(ExitCode.INTERNAL)

    def _on_signal(self, number: int) -> None:
        self._link.hand_over(REPORTED[signal.Signals(number)])
        if number in STOP_SIGNALS:
            self._around.stop_signal_at = time.monotonic()
            if self._attempt is not None:
                self._attempt.expect_stop()

    def _obey(self, order: Order | Unfit) -> None:
        try:
            match order:
                case messages.LaunchOrder():
                    self._launch(order)
                case messages.ExitOrder():
                    self._end(order.code)
                case messages.PersisterOrder():
                    self._persister.obey(order, is_ending=self._ending is not None)
                case messages.RelockOrder():
                    self._link.send(relock.obey(order))
                case messages.ParkOrder():
                    if self._ending is None:
                        self._around.parked.order(order)
                case messages.AttemptOrder():
                    # If that attempt has ended, the daemon has been told or is being told.
                    if self._attempt is not None and order.attempt == self._attempt.number:
                        self._attempt.obey(order)
                case Unfit():
                    say_seldom(f"the daemon asked for {order.what!r}, which {order.why}")
                    if order.what == messages.LaunchOrder.kind:
                        self._refuse(order.attempt, 0, order.why)
                case messages.Noted() | messages.Alive() | messages.CannotStart():
                    return  # the link handled it in `read`
        except Exception as error:  # a bad order must not take the good ones with it
            say_exception(f"while obeying {type(order).__name__}", error)
            if isinstance(order, messages.LaunchOrder):
                self._refuse(order.attempt, 0, f"{type(error).__name__}: {error}")

    def _launch(self, order: messages.LaunchOrder) -> None:
        if self._attempt is not None and not self._attempt.is_over:
            self._refuse(order.attempt, 16, f"attempt {self._attempt.number} still lives")
            return
        if self._ending is not None:
            self._refuse(order.attempt, 125, "the launcher is ending")
            return
        if not order.argv:
            self._refuse(order.attempt, 0, "the argument list is empty")
            return
        self._last_exit = None
        self._around.stop_signal_at = float("-inf")
        attempt = Attempt(order, self._around)
        attempt.advance()
        self._attempt = attempt

    def _refuse(self, attempt: int | None, number: int, message: str) -> None:
        self._link.send(messages.StartFailedReport(attempt=attempt, errno=number, message=message))

    def _on_time(self) -> None:
        attempt = self._attempt
        if attempt is not None:
            attempt.advance()
            self._has_launched = self._has_launched or attempt.has_process
            if attempt.is_over:
                self._last_exit = attempt.exited
                self._attempt = None
        self._take_over_if_alone()
        self._link.on_deadline()
        if self._ending is not None:
            self._go_on_ending(self._ending)
            return
        self._persister.advance()
        self._around.parked.on_time()
        if self._link.is_due():
            self._link.start(
                messages.Hello(
                    protocol=messages.PROTOCOL,
                    launcher_pid=os.getpid(),
                    attempt=None if self._attempt is None else self._attempt.known(),
                    last_exit=self._last_exit,
                    parked=self._around.parked.report(),
                    stop_signal_at=max(self._around.stop_signal_at, 0.0),
                )
            )
            self._around.daemon_sessions = [*self._around.daemon_sessions[-15:], self._link.pid]
        own = (*self._link.pids(), self._view_pid, self._persister.pid)
        self._around.own_pids = {pid for pid in own if pid}

    def _take_over_if_alone(self) -> None:
        """Act on a stop signal if no daemon is there to act on it."""
        due = self._link.takeover_at(STOP_NAMES)
        if due is not None and not self._has_taken_over and time.monotonic() >= due:
            self._has_taken_over = True
            say("a stop was asked for, and there is no daemon: stopping the trainer")
            if self._attempt is not None:
                self._attempt.stop(signal.SIGTERM)
        if self._has_taken_over and self._attempt is None and self._link.pid == 0:
            self._end(ExitCode.PREEMPTED)

    def _end(self, code: int) -> None:
        if self._ending is not None:
            return
        self._ending = Shutdown(code, self._around.unkillable_after_s)
        self._link.retire()
        self._persister.order(None)
        if self._attempt is not None:
            self._attempt.kill()
        self._around.parked.discard("the launcher ends")

    def _go_on_ending(self, ending: Shutdown) -> None:
        while ending.stage is not Stage.DONE:
            pid = self._pid_of(ending.stage)
            if ending.waits_for(pid):
                return
            asked = ending.go_on(self._persister.give_up_at)
            if asked is Asked.BY_GOODBYE:
                self._link.say_goodbye()
            elif asked is Asked.BY_SIGTERM and (pid := self._pid_of(ending.stage)):
                os.kill(pid, signal.SIGTERM)

    def _pid_of(self, stage: Stage) -> int:
        """Return the pid that a stage waits for, the launcher's own for an attempt; 0 for none."""
        return {
            Stage.ATTEMPT: 0 if self._attempt is None else os.getpid(),
            Stage.PARKED: self._around.parked.pid,
            Stage.VIEW: self._view_pid,
            Stage.DAEMON: self._link.pid,
            Stage.PERSISTER: self._persister.pid,
        }[stage]

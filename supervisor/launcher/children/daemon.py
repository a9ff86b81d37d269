"""The daemon's process and the socket to it: started, restarted, never waited for.

A daemon that is dead, frozen or mad costs the launcher a bounded queue, and training nothing.
"""

from __future__ import annotations

import os
import signal
import socket
import time

from supervisor.launcher import messages
from supervisor.launcher.children.backoff import Respawn
from supervisor.launcher.children.daemon_down import DaemonDown
from supervisor.launcher.children.daemon_watchdog import DaemonWatchdog
from supervisor.launcher.children.spawn import Program, StartFailure, read_report, spawn_connected
from supervisor.launcher.console import say
from supervisor.launcher.protocol import Unfit, order_of
from supervisor.system.journal_stream import ERROR, WARNING
from supervisor.system.json_lines import MOST_READS, JsonLines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from supervisor.launcher.messages import Order, Report

SETTLED_AFTER_S = 5.0
HUNG_UP_GRACE_S = 2.0
# A daemon answers a signal at once, whatever it decides. A daemon that does not is frozen.
UNANSWERED_S = 15.0
ANSWERS = (messages.Noted, messages.StopOrder, messages.KillOrder, messages.ExitOrder)
QUEUE_BYTES = 64 << 10
LONGEST_REASON = 300
# Reports to drop while a frozen daemon reads nothing. Its own orders bound the number of others.
DROPPABLE = (messages.SignalReport, messages.UnkillableReport)


def _how_it_ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return "ended to be replaced"
    return f"exited with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


class DaemonLink:
    """One daemon after another, and the messages to and from the living daemon."""

    def __init__(
        self, argv: Sequence[str], lock_fd: int = -1, state_dir: str | None = None
    ) -> None:
        """`lock_fd`: the run's lock. Launcher and daemon share it: the last to end releases it."""
        self.pid = 0
        self.lines: JsonLines | None = None
        self.restarts = -1
        self.failures_in_a_row = 0
        self.is_retired = False
        self.absence = DaemonDown(state_dir)
        self._argv = list(argv)
        self._lock_fd = lock_fd
        self._respawn = Respawn()
        self._respawn.at = time.monotonic()
        self._report_fd = -1
        self._has_spoken = False
        self._absent_since = time.monotonic()
        self._kill_at: float | None = None
        self._unanswered_since: float | None = None
        self._pulse = DaemonWatchdog()
        # Signals with the time at which a daemon got them (None: none got them), kept until a
        # daemon has surely acted on them.
        self._signals: list[tuple[str, float | None]] = []

    def start(self, hello: messages.Hello) -> None:
        """Start a daemon and greet it. Raises OSError when there can be no process now."""
        self._respawn.put_off(time.monotonic())
        spawned, self.lines = spawn_connected(self._program)
        # A failed exec is read from this pipe once the process has ended: nothing waits for it.
        self._report_fd = spawned.report_fd
        self.pid = spawned.pid
        self._kill_at = None
        self._unanswered_since = None
        self._pulse.begin()
        self.restarts += 1
        self._has_spoken = False
        now = time.monotonic()
        self._respawn.started(now)
        names = tuple(name for name, _ in self._signals)
        self._signals = [(name, now) for name in names]
        self.send(hello.changed(signals=names, daemon_restarts=self.restarts))

    def _program(self, fd: int) -> Program:
        fds = {"{socket_fd}": str(fd), "{lock_fd}": str(self._lock_fd)}
        argv = [fds.get(word, word) for word in self._argv]
        return Program(argv, dict(os.environ), kept_fd=fd, shared_fd=self._lock_fd)

    def is_due(self) -> bool:
        """Tell whether a daemon is to be started now."""
        return self.pid == 0 and self._respawn.is_due(time.monotonic())

    def pids(self) -> tuple[int, int]:
        """Return the pids of the daemon and of the child that writes no-daemon.json; 0 for none."""
        return self.pid, self.absence.pid

    def is_settled(self) -> bool:
        """Tell whether the daemon has said something, or lived long enough to listen."""
        now = time.monotonic()
        return self.lines is not None and (
            self._has_spoken or now - self._respawn.started_at >= SETTLED_AFTER_S
        )

    def takeover_at(self, stop_names: Sequence[str]) -> float | None:
        """Return when the launcher must act on a stop signal itself, None if a daemon does."""
        if self.is_settled() or not any(name in stop_names for name, _ in self._signals):
            return None
        return self._absent_since + SETTLED_AFTER_S

    def deadline(self) -> float | None:
        """Return the monotonic time of the next restart or kill of a daemon, None for never."""
        due = [self._pulse.deadline(), self._kill_at, self._answer_due_at()]
        if self.pid == 0:
            due = [self._pulse.deadline(), self._respawn.at]
        return min((at for at in due if at is not None), default=None)

    def _answer_due_at(self) -> float | None:
        since = self._unanswered_since
        return None if since is None else since + UNANSWERED_S

    def wants(self) -> tuple[bool, bool]:
        """Tell whether to read from it, and to write: a daemon that never reads is not read."""
        unsent = b"" if self.lines is None else self.lines.unsent
        return len(unsent) <= QUEUE_BYTES, bool(unsent)

    def hand_over(self, name: str) -> None:
        """Tell the daemon of a signal, now or in the next hello."""
        now = time.monotonic()
        self._signals = [
            (known, at) for known, at in self._signals if at is None or now - at < UNANSWERED_S + 1
        ][-64:]
        self._signals.append((name, None if self.lines is None else now))
        if self.lines is not None and self._unanswered_since is None:
            self._unanswered_since = now
        self.send(messages.SignalReport(signal=name, monotonic=now))

    def send(self, report: Report) -> None:
        """Queue a report and write what the socket takes; without a daemon the hello will tell."""
        if self.lines is None or (isinstance(report, DROPPABLE) and not self.wants()[0]):
            return
        self.lines.write(report.to_json())
        if self.lines.is_lost:
            self._hang_up()

    def write(self) -> None:
        """Write what the socket takes now."""
        if self.lines is not None:
            self.lines.flush()
            if self.lines.is_lost:
                self._hang_up()

    def read(self, *, all_of_it: bool = False) -> list[Order | Unfit]:
        """Return the orders that have arrived; `all_of_it`: to the end, of a daemon that ended."""
        lines = self.lines
        if lines is None:
            return []
        garbage = lines.decoder.garbage
        orders = [order_of(told) for told in lines.read(MOST_READS if all_of_it else 1)]
        if lines.decoder.garbage > garbage:
            say("the daemon sent data that is no message; the launcher ignored it")
        for order in orders:
            self._note(order)
        if lines.is_lost:
            self._hang_up()
        return orders

    def _note(self, order: Order | Unfit) -> None:
        """Take note of what a message shows of the daemon itself."""
        self._has_spoken = True
        if isinstance(order, ANSWERS):
            # Others are no answers: the daemon may have sent them before it froze.
            self._unanswered_since = None
        if isinstance(order, messages.CannotStart):
            self.absence.said = order.why[:LONGEST_REASON]
        elif isinstance(order, messages.Alive):
            self._pulse.heard()
        elif isinstance(order, messages.ExitOrder):
            # Forget the signals once the daemon orders exit. A daemon started later would take them
            # for a new stop.
            self._signals.clear()

    def _hang_up(self) -> None:
        """Close the socket; a daemon that lives on is killed a little later."""
        if self.lines is None:
            return
        now = time.monotonic()
        if self.is_settled():
            self._absent_since = now
        self._signals = [
            (name, None) for name, at in self._signals if at is None or now - at < SETTLED_AFTER_S
        ]
        self.lines.close()
        self.lines = None
        if self.pid:
            self._kill_at = now + HUNG_UP_GRACE_S

    def retire(self) -> None:
        """Start no other daemon."""
        self.is_retired = True
        self._respawn.at = None
        self._pulse.begin()

    def say_goodbye(self) -> None:
        """Shut our end of the socket down, so that the daemon reads its end."""
        if self.lines is not None:
            try:
                with socket.socket(fileno=os.dup(self.lines.fileno())) as ours:
                    ours.shutdown(socket.SHUT_WR)
            except OSError:
                self._hang_up()  # ENOTCONN: it has closed its end

    def on_reaped(self, status: int, going_on: str) -> None:
        """Note the daemon's death and when to start the next; `going_on` is added to the line."""
        now = time.monotonic()
        failure = read_report(self._report_fd)
        os.close(self._report_fd)
        self._hang_up()
        self.pid = 0
        if self.is_retired:
            return
        self.failures_in_a_row += 1
        pause_s = self._respawn.ended(now)
        why = failure.message if isinstance(failure, StartFailure) else _how_it_ended(status)
        line = self.absence.note(why, now - self._respawn.started_at, pause_s, going_on)
        say(line, ERROR if self.absence.is_loud else WARNING)
        self._pulse.lost(line)

    def on_deadline(self) -> None:
        """Kill a daemon that has closed its socket and stays, or that is frozen."""
        due = self._answer_due_at()
        unanswered = due is not None and time.monotonic() >= due
        silent = self._pulse.is_silent()
        if self.pid and (unanswered or silent):
            limit_s = UNANSWERED_S if unanswered else self._pulse.limit_s
            line = f"the daemon has not answered for {limit_s:g} s: replacing it"
            say(line)
            self._pulse.lost(line)
            self._unanswered_since = None
            # The next daemon is told of the signals that this one did not answer.
            self._signals = [(name, None) for name, _ in self._signals]
            os.kill(self.pid, signal.SIGKILL)
        if self.pid and self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            os.kill(self.pid, signal.SIGKILL)

"""One attempt, from its launch until its last process has ended. It knows none of the reasons."""

from __future__ import annotations

import errno
import os
import time

from supervisor.launcher import main_process, messages, process_tree
from supervisor.launcher.attempt_context import Surroundings
from supervisor.launcher.children import trainer
from supervisor.launcher.children.spawn import StartFailure, read_report
from supervisor.launcher.console import say
from supervisor.launcher.phases import AttemptPhase, Happening, after, told
from supervisor.launcher.termination import LONGEST_PAUSE_S, Survivors
from supervisor.launcher.trainer_start import Beginning, MainProcess
from supervisor.system import identity
from supervisor.system.cgroup import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from supervisor.launcher.messages import LaunchOrder, MainExitedReport, Report


class Attempt:
    """A launch that the daemon ordered; `is_over` once no process of it lives."""

    def __init__(self, order: LaunchOrder, around: Surroundings) -> None:
        self.number = order.attempt
        self.run_id = order.run_id
        self.phase = AttemptPhase.CLEARING
        self.exited: messages.ExitedReport | None = None
        self.report_fd = -1
        self._order = order
        self._around = around
        self._pid = 0
        self._start_ticks = 0
        self._started_monotonic = 0.0
        self._beginning: Beginning | None = None
        self._begun: MainProcess | None = None
        self._ending: MainExitedReport | None = None
        self._left = main_process.Leftovers(order.word_s)
        self._peak_rss_bytes = 0
        self._next_at: float | None = time.monotonic()
        self._group = Group.everything_of(around.cgroup, self.run_id)
        self._survivors = self._survivors_of(None)
        self._survivors.kill()

    @property
    def is_over(self) -> bool:
        """Tell whether no process of it lives any more, or none could be started."""
        return self.phase is AttemptPhase.OVER

    @property
    def has_process(self) -> bool:
        """Tell whether a main process was started."""
        return self._begun is not None

    def _move(self, happening: Happening, report: Report | None = None) -> None:
        """Enter the table's next phase, and send the daemon the report that the table names."""
        kind = told(self.phase, happening)
        self.phase = after(self.phase, happening)
        assert kind == (None if report is None else report.kind)
        if report is not None:
            self._around.send(report)

    def _survivors_of(self, main: identity.ProcessIdentity | None) -> Survivors:
        return Survivors(
            self.run_id,
            None if main is None else self.number,
            heartbeat_dir=trainer.heartbeat_dir(self._order),
            main=main,
            roots=lambda: self._adopted() or [],
            spare=self._spare,
            unkillable_after_s=self._around.unkillable_after_s,
            group=self._group,
            grace_s=trainer.grace_s(self._order),
        )

    def _spare(self) -> set[int]:
        return self._around.own_pids | {self._around.parked.pid}

    def _adopted(self) -> list[int] | None:
        if not self.has_process:
            return []
        sessions = self._around.foreign_sessions()
        return process_tree.adopted(self.run_id, self._start_ticks, self._spare(), sessions)

    def known(self) -> messages.KnownAttempt | None:
        """Return what a new daemon has to know, None before there is a process."""
        if self._begun is None:
            return None
        return messages.KnownAttempt(
            attempt=self.number,
            pid=self._pid,
            start_ticks=self._start_ticks,
            launch="warm" if self._begun.is_warm else "cold",
            why=self._begun.why,
            asked=self._begun.asked,
            cgroup=self._group.folder if self._pid in self._group.pids() else None,
            run_id=self.run_id,
            started_monotonic=self._started_monotonic,
            stop_sent=self._survivors.stop_signal is not None,
            kill_sent=self._survivors.killing_since is not None,
            stop_sent_at=self._survivors.stopped_at,
            kill_sent_at=self._survivors.killing_since,
            main_ended=self.phase is AttemptPhase.ENDING,
            ending=self._ending if self.phase is AttemptPhase.ENDING else None,
        )

    def deadline(self) -> float | None:
        """Return the monotonic time at which `advance` has something to do, None for never."""
        return self._left.earlier(self._next_at)

    def cancel(self, why: str) -> None:
        """Give up a launch that is still waiting for leftovers to end; else do nothing."""
        if self.phase is not AttemptPhase.CLEARING:
            return
        if self._beginning and isinstance(begun := self._beginning.give_up(), MainProcess):
            self._take(begun)  # the parked interpreter is the program already: stop it as one
        else:
            self._fail(StartFailure(errno.ECANCELED, why), Happening.CALLED_OFF)

    def hurry(self) -> None:
        """Look at once at what the parked interpreter has said, if a start waits for it."""
        if self._beginning is not None and self.phase is AttemptPhase.CLEARING:
            self._next_at = time.monotonic()

    def obey(self, order: messages.AttemptOrder) -> None:
        """Do what the daemon orders for this attempt."""
        match order:
            case messages.StopOrder():
                self.stop(order.signal, order.grace_s, order.is_hang)
            case messages.KillOrder():
                self.kill()
            case messages.KeepOrder():
                if self.phase is AttemptPhase.ENDING and self._survivors.is_left_alone:
                    self._left.keep(order.for_s)
            case messages.SignalOrder():
                self._signal_exactly(order.pids, order.signal)

    def stop(self, signum: int, grace_s: float | None = None, is_hang: bool = False) -> None:
        """Deliver a stop: see `Survivors.stop`."""
        self.cancel("the attempt was stopped before it had started")
        if not self.is_over:
            self._left.forget()
            self._survivors.stop(signum, grace_s, is_hang)
            self._watch_the_end()

    def kill(self) -> None:
        """SIGKILL everything until nothing is left."""
        self.cancel("the attempt was killed before it had started")
        if not self.is_over:
            self._left.forget()
            self._survivors.kill()
            self._next_at = time.monotonic()

    def expect_stop(self) -> None:
        """Note that the launcher received a stop signal: the daemon's order is on its way."""
        self._left.expect_stop()

    def _signal_exactly(self, pids: tuple[int, ...], signum: int) -> None:
        if self.has_process:
            left_out = set(pids) - set(self._survivors.signal_exactly(pids, signum))
            if left_out:
                say(f"not signalled, not in attempt {self.number}: pids {sorted(left_out)}")

    def on_reaped(self, pid: int, status: int, peak_rss_bytes: int, is_foreign: bool) -> None:
        """Take note of a child that was reaped: the main process, or an orphan, perhaps foreign."""
        if self.is_over or not self.has_process:
            return
        self._peak_rss_bytes = max(self._peak_rss_bytes, peak_rss_bytes)
        if pid != self._pid:
            if self.phase is AttemptPhase.ENDING:
                self._next_at = time.monotonic()
                self._left.note_end(pid, status, is_foreign or self._survivors.is_killing)
            return
        if self.report_fd >= 0 and not self.on_report():
            return
        self._ending = main_process.ending_of(self.number, status, self._left.word_s)
        self._move(Happening.MAIN_ENDED)
        self._around.parked.verify()
        self._watch_the_end()
        if not self.is_over:
            self._around.send(self._ending)

    def on_report(self) -> bool:
        """Read whether exec happened; False if it failed."""
        outcome = read_report(self.report_fd)
        if outcome is False:
            return True
        os.close(self.report_fd)
        self.report_fd = -1
        if isinstance(outcome, StartFailure):
            self._fail(outcome)
            return False
        self._say_started()
        return True

    def _say_started(self) -> None:
        if (known := self.known()) is not None:
            self._around.send(known.as_started())

    def advance(self) -> None:
        """Do what is due: end leftovers, launch, kill, tell that something cannot be killed."""
        now = time.monotonic()
        due = self.deadline()
        if self.is_over or due is None or now < due:
            return
        if not self.has_process:
            self._clear_the_way()
            return
        if self._left.is_due(now):
            self._survivors.kill()
        self._watch_the_end()

    def _clear_the_way(self) -> None:
        if self._beginning is not None or not self._survivors.advance():
            self._launch()
            return
        self._next_at = time.monotonic() + self._survivors.pause_s
        if stubborn := self._complain():
            names = ", ".join(f"{process.comm} ({process.pid})" for process in stubborn)
            self._fail(StartFailure(errno.EBUSY, f"SIGKILL does not end these processes: {names}"))

    def _launch(self) -> None:
        if self._beginning is None:
            self._group = self._group.replaced(self._around.cgroup, self.run_id, self.number)
            self._beginning = Beginning(self._order, self._group.folder, self._around.parked)
        outcome = self._beginning.advance()
        if outcome is None:
            self._next_at = self._beginning.deadline()
        elif isinstance(outcome, StartFailure):
            self._fail(outcome)
        else:
            self._take(outcome)

    def _take(self, begun: MainProcess) -> None:
        self._begun = begun
        self.report_fd = begun.report_fd
        self._pid, self._start_ticks = begun.main.pid, begun.main.start_ticks
        self._started_monotonic = time.monotonic()
        self._next_at = None
        self._move(Happening.SPAWNED)
        self._survivors = self._survivors_of(begun.main)
        if begun.is_warm:
            self._say_started()

    def _fail(self, failure: StartFailure, happening: Happening = Happening.NO_START) -> None:
        self._group.remove()
        self._move(happening, messages.StartFailedReport(attempt=self.number, **failure._asdict()))

    def _watch_the_end(self) -> None:
        """Stop or kill living processes as due; once all have ended, end the attempt."""
        survivors = self._survivors
        # Set first: if /proc cannot be read now (EMFILE), the next call tries again.
        self._next_at = time.monotonic() + LONGEST_PAUSE_S
        if self.phase is not AttemptPhase.ENDING:
            if survivors.killing_since is None and survivors.stop_signal is None:
                self._next_at = None
                return
        elif self._is_gone():
            self._end()
            return
        elif survivors.is_left_alone:
            assert self._ending is not None
            if self._left.may_live(self._ending, self._around.stop_signal_at):
                self._next_at = None
                return
            survivors.kill()
        survivors.advance()
        self._complain()
        self._next_at = time.monotonic() + survivors.pause_s

    def _is_gone(self) -> bool:
        if self._group.is_populated():
            return False
        adopted = self._adopted()
        if adopted is not None and (adopted or not self._survivors.killed):
            # This is exact: as subreaper, the launcher is the parent of all orphans.
            return not adopted
        return not self._survivors.advance() and not self._adopted()

    def _complain(self) -> tuple[messages.StuckProcess, ...]:
        if stubborn := self._survivors.unkillable():
            self._around.send(messages.UnkillableReport(attempt=self.number, pids=stubborn))
        return stubborn

    def _end(self) -> None:
        assert self._ending is not None
        killed = self._survivors.killed - {(self._pid, self._start_ticks)}
        self.exited = messages.ExitedReport(
            **self._ending.values(),
            leftovers=len(killed),
            left_ended=tuple(self._left.ended),
            peak_rss_bytes=self._peak_rss_bytes,
            oom_kills=self._group.oom_kills(),
        )
        self._group.remove()
        self._move(Happening.ALL_GONE, self.exited)

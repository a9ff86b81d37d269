"""The running attempt in the daemon: what was seen of it so far, kept to judge its end."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from signal import SIGUSR2

from supervisor.core import effects
from supervisor.core.ending import Ending
from supervisor.core.events import Event, Looked
from supervisor.core.sign_of_life import SaveTimes
from supervisor.core.trainer_description import Described, TrainerDescription
from supervisor.daemon.launcher_link import Send
from supervisor.daemon.look.adapter_absence import AdapterAbsence
from supervisor.daemon.look.counters import Counters, CounterSample, stood_still
from supervisor.daemon.look.description_event import described_event
from supervisor.daemon.look.endings import AttemptFacts, SeenEnd, ending_of
from supervisor.daemon.look.exit_code_owner import runs_python
from supervisor.daemon.look.hang_looks import HangLooks
from supervisor.daemon.look.metrics_file import MetricsFile
from supervisor.daemon.look.observer import Observation, Observer
from supervisor.daemon.look.printed_log import PrintedLog
from supervisor.daemon.look.rank_presence import RankPresence
from supervisor.daemon.look.ranks_gone import RanksGoneWatch
from supervisor.daemon.look.sign_pages import pages_of
from supervisor.daemon.look.signs_of_life import SignFiles
from supervisor.daemon.look.stacks import StackDump
from supervisor.daemon.look.surroundings.step_time import StepTime
from supervisor.daemon.run import Run
from supervisor.launcher.messages import SignalOrder, StartedReport
from supervisor.system.clock import monotonic_s
from supervisor.system.identity import ProcessIdentity, identify
from supervisor.worker.page import Page

# The reference trainer prints this when a save fails and training goes on. Others may print it too.
SAVE_FAILED = "checkpoint save FAILED"
_COUNTERS_AT = 0.5


class RunningAttempt:
    """One attempt, from its launch order to the report that all its processes are gone."""

    def __init__(
        self,
        run: Run,
        number: int,
        heartbeat_dir: Path,
        now: float,
        *,
        printed: PrintedLog | None = None,
        were_gone: bool = False,
    ) -> None:
        """`were_gone`: an earlier daemon saw that all ranks had ended."""
        self.number = number
        self.started_at = now
        self.main: ProcessIdentity | None = None
        self.pid: int | None = None
        self.cgroup: str | None = None
        self.is_warm = False
        self.why_cold: str | None = None
        self.exited_at: float | None = None
        self.moments: dict[str, float | None] = {}
        self.last_save_s: float | None = None
        self.last_loss: float | None = None
        self.save_times: SaveTimes | None = None
        self.look: Observation | None = None
        self.step_time = StepTime()
        self.adapter_absence = AdapterAbsence(run.run_id, number)
        self._told: TrainerDescription | None = None
        self._run = run
        self.printed = printed or PrintedLog(run.paths.train_log)
        self._facts = AttemptFacts(number, self.printed, now, run.kernel_log)
        self._heartbeat_dir = heartbeat_dir
        self._observer = Observer(
            number,
            heartbeat_dir,
            self.printed,
            progress=run.progress,
            # An adopted attempt's silence counts from now: nobody looked before.
            now=monotonic_s(),
            presence=RankPresence(were_gone=were_gone),
        )
        self._metrics = MetricsFile(run.surveyor, begun_at=now)
        self._desertion = RanksGoneWatch(self._observer.presence, heartbeat_dir)
        limit = run.config.watch.heartbeat_timeout
        self.signs = SignFiles(heartbeat_dir, number, limit if isinstance(limit, float) else None)
        self._looking: HangLooks | None = None
        self._counters: Counters | None = None
        self._sample: CounterSample | None = None
        self._stacks: StackDump | None = None

    @property
    def heartbeat_dir(self) -> Path:
        """Where the heartbeat pages are."""
        return self._heartbeat_dir

    def started(self, report: StartedReport) -> None:
        """Note the launcher's report that the main process runs."""
        self.pid = report.pid
        self.printed.begin(self.pid)
        self.cgroup = report.cgroup
        self.is_warm = report.launch == "warm"
        self.why_cold = report.why
        self.moments |= {"asked": report.asked, "started": report.monotonic}
        found = identify(self.pid)
        if found is not None:
            self.main = found._replace(start_ticks=report.start_ticks)

    def ranks_gone(self, pages: Sequence[Page]) -> list[Page]:
        """The ranks that were seen alive and ended without saying how, by their pages."""
        return self._observer.presence.gone_among(pages)

    def follow(self, pid: int, start_ticks: int) -> None:
        """Take a process that the ended main process left training for the trainer from now on."""
        found = identify(pid)
        if found is not None and found.start_ticks == start_ticks:
            self.main, self.pid, self._counters = found, pid, None

    def observe(self, now: float) -> Observation:
        """Look at the attempt; counters are read only when the log has been silent for a while."""
        look = self._observer.look(now, stood_still=self._stood_still(now))
        gone = self._desertion.facts(look.pages, self.main, now)
        if gone is not None:
            look = replace(look, observed=replace(look.observed, gone=gone))
        self.look = look = self._metrics.fill(look, self.pid, now)
        self.adapter_absence.note_look(look)
        self.step_time.note(now, look.observed.step)
        self.last_save_s = look.last_save_s if look.last_save_s is not None else self.last_save_s
        self.last_loss = look.loss if look.loss is not None else self.last_loss
        return look

    def look_events(self, now: float) -> tuple[Event, ...]:
        """Look at the attempt: what is seen, and what the trainer newly says of itself."""
        observed = self.observe(now).observed
        # With an attached rank its page alone counts.
        signs = None if observed.attached else self.signs.look(now)
        if signs is None:
            return (*self.described(), observed)
        return (*self.described(), replace(signs, saves=self.save_times), observed)

    def described(self) -> tuple[Described, ...]:
        """The event that tells what the last look at the trainer's description brought."""
        if self.look is None or (said := self.look.description) in {None, self._told}:
            return ()
        self._told, run = said, self._run
        has = self.look.observed.attached
        event = described_event(self.number, said, run.config, run.paths.run_dir, has_attached=has)
        return (event,)

    def last_events(self, now: float) -> tuple[Event, ...]:
        """What its processes had said by the time that all of them were gone."""
        self.signs.hurry()
        signs = self.signs.look(now)
        return (*self.described(), *(() if signs is None else (signs,)))

    def failed_saves(self) -> list[str]:
        """Lines of the last look that report a failed save."""
        lines = self.look.lines if self.look else ()
        return [line for line in lines if SAVE_FAILED in line]

    @property
    def is_vanished(self) -> bool:
        """Whether the heartbeat directory is gone."""
        return self._observer.vanished

    def _stood_still(self, now: float) -> bool | None:
        watch = self._run.config.watch
        silent_s = now - self._observer.log_age_since
        if watch.on_silence != "restart" or silent_s < watch.log_silence * _COUNTERS_AT:
            self._counters = None
            return None
        if self.main is None:
            return None
        if self._counters is None:
            self._counters = Counters([self.main.pid])
            self._sample = self._counters.sample()
            return None
        assert self._sample is not None
        return stood_still(self._sample, self._counters.sample())

    def begin_looks(self, order: effects.Look, send: Send) -> None:
        """Begin three looks at all its processes; `send` takes orders to the launcher."""
        if self.main is None or self.look is None:
            return
        if self._looking is not None:
            self._looking.close()

        def signal(pids: Sequence[int]) -> None:
            send(SignalOrder(attempt=self.number, signal=SIGUSR2, pids=tuple(pids)))

        observed = self.look.observed
        age_s = observed.beat_age_s if observed.attached else observed.log_age_s
        signs = () if observed.attached else self.signs.living
        self._looking = HangLooks(
            self.number,
            order.asked_at,
            order.span_s,
            main_pid=self.main.pid,
            pages=pages_of(signs) if signs else self.look.pages,
            presence=self._observer.presence,
            heartbeat_dir=self._heartbeat_dir,
            last_sign_at=max([order.asked_at - age_s, *(one.last_at for one in signs)]),
            signal=signal,
            reads_network=not observed.attached,
        )

    @property
    def is_being_read(self) -> bool:
        """Whether looks or a stack dump are under way: the loop polls them often."""
        return self._stacks is not None or self._looking is not None

    def poll_looks(self) -> Looked | None:
        """The answer to `begin_looks`, once the looks are taken."""
        if self._looking is None:
            return None
        try:
            looked = self._looking.poll(self._observer.log_age_since)
        except OSError as error:
            # For example, file descriptors ran out. The core orders looks again, and without an
            # answer it decides by time.
            self._run.journal.log.warning("looks_failed", error=str(error), attempt=self.number)
            self._looking.close()
            self._looking = None
            return None
        if looked is not None:
            self._run.journal.log.info("looked", attempt=self.number, seen=repr(looked))
            self._looking = None
        return looked

    def begin_stacks(self, folder: Path) -> list[int]:
        """Begin a stack dump; returns the processes to send SIGUSR2 to."""
        if self.main is None:
            return []
        pages = [page for page in (self.look.pages if self.look else ()) if page.outcome is None]
        self._stacks = StackDump(folder, pages, self.main.pid, self._heartbeat_dir)
        self._stacks.start()
        return list(self._stacks.to_signal)

    @property
    def is_taking_stacks(self) -> bool:
        """Whether a stack dump is under way."""
        return self._stacks is not None

    def poll_stacks(self) -> bool:
        """True once when the dump is complete."""
        if self._stacks is None or not self._stacks.poll():
            return False
        if self._stacks.problems:
            self._run.journal.log.warning("stacks_incomplete", problems=self._stacks.problems)
        self._stacks = None
        return True

    def ended(self, end: SeenEnd, now: float) -> Ending:
        """Judge the attempt's end, from the reported end and a last look."""
        finish = self._run.config.finish.file
        self.exited_at = end.monotonic
        try:
            look = self.observe(now)
            return ending_of(
                end,
                self._facts,
                look.pages,
                step=look.observed.step,
                finish_file=Path(finish) if finish else None,
                checkpoint_directory=self._run.surveyor.directory,
                main_pid=self.pid,
                rules=self._run.rules,
                is_python=not end.is_unseen
                and (
                    runs_python(self._run.config.command)
                    or any(page.pid == self.pid for page in look.pages)
                ),
            )
        except Exception as error:
            # The diagnosis reads arbitrary output and may fail on it. The core still gets the end.
            self._run.journal.log.exception("ending_not_diagnosed", attempt=self.number)
            return Ending(
                self.number,
                end.code,
                end.signal,
                reason=f"the end could not be diagnosed: {type(error).__name__}",
                finish_met=Path(finish).exists() if finish else None,
            )

    def last_words(self) -> tuple[str, ...]:
        """The lines of the last look, and a last line that has no newline yet."""
        lines = self.look.lines if self.look else ()
        unended = self._observer.unended_line
        return (*lines, unended) if unended else lines

    def close(self) -> None:
        """Close the files of the looks. `printed` stays open: incidents read the end of the log."""
        if self._looking is not None:
            self._looking.close()
            self._looking = None
        self._observer.close()
        self.signs.close()

"""Performs the core's effects, one branch for each. An effect that fails becomes an event."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import assert_never

from supervisor.checkpoint.pins import pinned
from supervisor.core.effects import (
    Effect,
    Exit,
    Incident,
    KeepLeft,
    Launch,
    Look,
    Park,
    Probe,
    Record,
    Rescue,
    Say,
    SendKill,
    SendStop,
    SetAside,
    SurveyCheckpoints,
    TakeStacks,
    Terminate,
)
from supervisor.core.entries.run import IncidentEntry
from supervisor.core.events import Event, ParkedSeen, StacksTaken, StartFailed
from supervisor.core.launch_gate import AskLaunchHook
from supervisor.core.reactions.left_behind import TRIAL_S
from supervisor.core.rules.warm_launch import Parked, ParkedStage
from supervisor.core.states import Checkpoint, State
from supervisor.core.vocabulary import ExitCode
from supervisor.daemon.act.enriched import enriched
from supervisor.daemon.act.set_aside import correct_pointers, set_aside
from supervisor.daemon.act.trainer_environment import command_line, environment
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.look.printed_log import PrintedLog
from supervisor.daemon.parts import Parts
from supervisor.daemon.run import Run
from supervisor.daemon.tell.attempts_before import tell_attempts_before
from supervisor.daemon.tell.systemd import priority_of
from supervisor.launcher.messages import (
    KeepOrder,
    KillOrder,
    LaunchOrder,
    ProgramOrder,
    SignalOrder,
    StopOrder,
)
from supervisor.system.clock import monotonic_s, wall_s
from supervisor.system.journal_stream import WARNING

SIGTERM, SIGUSR2, SIGCONT = 15, 12, 18


class Performer:
    """Performs effects for one run."""

    def __init__(self, run: Run, parts: Parts, emit: Callable[[Event], None]) -> None:
        self.run = run
        self.exit_code: int | None = None
        self.doubt: str | None = None
        self._parts = parts
        self._next_doubt: str | None = None
        self._printed_before: PrintedLog | None = None
        self._emit = emit

    def perform(self, effect: Effect, state: State) -> None:
        """Perform one effect; `state` is the state that the decision led to."""
        match effect:
            case SurveyCheckpoints():
                self.survey(deciding=True, after_stop=state.stop is not None)
            case SetAside():
                set_aside(effect, self.run, self._parts.snapshots)
            case AskLaunchHook():
                self._parts.hooks.ask(effect, state, self._emit)
            case Launch():
                self.doubt, self._next_doubt = self._next_doubt, None
                self._launch(effect, state)
            case Park():
                self._park(effect, state)
            case SendStop():
                self._send_stop(effect)
            case Terminate():
                waiting = () if self._parts.attempt is None else self._parts.attempt.signs.waiting
                self._signal(effect.attempt, SIGTERM, waiting)
            case SendKill():
                self._tell_tasks("KILL")
                self._parts.orders.send(KillOrder(attempt=effect.attempt))
            case Look():
                if self._parts.attempt is not None:
                    self._parts.attempt.begin_looks(effect, self._parts.orders.send)
            case KeepLeft(attempt, for_s):
                self._parts.orders.send(KeepOrder(attempt=attempt, for_s=for_s))
            case TakeStacks():
                self._take_stacks(effect)
            case Rescue():
                self._parts.snapshots.rescue(effect.why)
            case Probe():
                found = self._parts.prober.look(effect, self.run)
                if found is not None:
                    self._emit(found)
            case Record():
                intent = self.run.paths.intent
                entry = enriched(effect.entry, state, self._parts.attempt, intent)
                self.run.journal.record(entry)
            case Incident():
                self.keep_incident(effect)
            case Say():
                priority = WARNING if effect.is_doubt else priority_of(state)
                self.run.console.say(effect.line, priority, effect.parts)
                self._next_doubt = effect.line if effect.is_doubt else self._next_doubt
            case Exit():
                self.exit_code = effect.code
            case _:
                assert_never(effect)

    def _signal(self, attempt: int, number: int, pids: Sequence[int]) -> None:
        if pids:
            self._parts.orders.send(SignalOrder(attempt=attempt, signal=number, pids=tuple(pids)))

    def _send_stop(self, effect: SendStop) -> None:
        attempt = effect.attempt
        if self._parts.attempt is not None and not effect.is_hang:
            self._parts.attempt.signs.hurry()
            if self._parts.attempt.signs.are_all_here:  # before the signal, at which it is read
                self._parts.next_save.tell(self._parts.attempt.heartbeat_dir, effect.grace_s)
        main = None if self._parts.attempt is None else self._parts.attempt.pid
        # srun passes a SIGTERM on as SIGKILL. So it gets SIGCONT, and its tasks get the SIGTERM.
        is_srun = main is not None and self._parts.scheduler.has_srun(main)
        if is_srun and not self._tell_tasks("TERM") and self._parts.attempt is not None:
            look = self._parts.attempt.look
            pids = [page.pid for page in look.pages if page.outcome is None] if look else []
            self._signal(attempt, SIGTERM, pids)
        number = SIGCONT if is_srun else SIGTERM
        grace_s, is_hang = effect.grace_s, effect.is_hang
        order = StopOrder(attempt=attempt, signal=number, grace_s=grace_s, is_hang=is_hang)
        self._parts.orders.send(order)

    def _tell_tasks(self, name: str) -> bool:
        """Signal the tasks of an attempt whose main process is srun."""
        main = None if self._parts.attempt is None else self._parts.attempt.pid
        return self._parts.scheduler.stop_tasks(main, name)

    def survey(self, *, deciding: bool, after_stop: bool = False) -> None:
        """Have the checkpoints surveyed. `after_stop`: file times will tell what the stop saved."""
        failed = self.run.surveyor.begin(
            deciding=deciding,
            pins=pinned(self.run.paths.pins),
            times=self._parts.times,
            search=self._parts.saves.order(deciding=deciding),
            reads_clock=after_stop,
        )
        if failed is not None and deciding:
            self._emit(failed)

    def _launch(self, effect: Launch, state: State) -> None:
        run, now = self.run, monotonic_s()
        checkpoint = effect.checkpoint
        refused = run.directory_claim.begin()
        if refused is not None:
            self._emit(StartFailed(effect.attempt, refused, False, ExitCode.CONFIGURATION))
            return
        try:
            folder = os.getcwd()  # noqa: PTH109 -- as the launcher has it, links unresolved
            heartbeat_dir = run.runtime.begin_attempt(effect.attempt)
            attempt = RunningAttempt(run, effect.attempt, heartbeat_dir, now)
        except OSError as error:
            self._emit(StartFailed(effect.attempt, f"not started: {error}", transient=True))
            return
        correct_pointers(run, checkpoint, folder)
        tell_attempts_before(run, effect.attempt, heartbeat_dir, checkpoint)
        attempt.moments = {
            "exited": None if self._parts.attempt is None else self._parts.attempt.exited_at,
            "chosen": now,
        }
        if self._printed_before is not None:
            self._printed_before.close()
        if self._parts.attempt is not None:
            self._parts.attempt.close()
            self._printed_before = self._parts.attempt.printed
        self._parts.attempt = attempt
        self._parts.times.note_launch(wall_s(), is_fresh=checkpoint is None)
        self._parts.orders.send(
            LaunchOrder(
                **self._program(effect.attempt, heartbeat_dir, checkpoint, folder, state).values(),
                log=str(run.paths.train_log),
                why_cold=effect.why_cold,
                patience_s=effect.patience_s,
                word_s=TRIAL_S,
            )
        )

    def _program(
        self,
        attempt: int,
        heartbeat_dir: Path,
        checkpoint: Checkpoint | None,
        folder: str,
        state: State,
    ) -> ProgramOrder:
        """What the launcher needs to know to start the trainer's process."""
        run = self.run
        overlay, unset = environment(
            run.config,
            os.environ,
            run_dir=run.paths.run_dir,
            run_id=run.run_id,
            attempt=attempt,
            heartbeat_dir=heartbeat_dir,
            snapshot_dir=run.runtime.snapshot_dir if run.runtime.is_in_memory else None,
            checkpoint=checkpoint,
            imports=self._parts.standby.record,
            save_terms=self._parts.save_costs.terms(run.config, state),
        )
        return ProgramOrder(
            attempt=attempt,
            run_id=run.run_id,
            argv=tuple(command_line(run.config, checkpoint)),
            env=overlay,
            unset=tuple(unset),
            cwd=folder,
        )

    def _park(self, effect: Park, state: State) -> None:
        """Have a spare interpreter for the command that a relaunch would start now."""
        try:
            folder = os.getcwd()  # noqa: PTH109 -- as in a launch
        except OSError as error:
            reason = f"the working directory: {error.strerror}"
            self._emit(ParkedSeen(Parked(ParkedStage.ABSENT, reason=reason)))
            return
        heartbeat_dir = self.run.runtime.heartbeat_dir(effect.attempt)
        program = self._program(effect.attempt, heartbeat_dir, state.newest, folder, state)
        self._parts.standby.order(self._parts.orders.send, program)

    def _take_stacks(self, effect: TakeStacks) -> None:
        folder = self.keep_incident(
            Incident(effect.attempt, effect.failure, effect.what, (), effect.done)
        )
        if folder is None or self._parts.attempt is None:
            self._emit(StacksTaken(effect.attempt))
            return
        armed = self._parts.attempt.begin_stacks(folder)
        if not self._parts.attempt.is_taking_stacks:
            self._emit(StacksTaken(effect.attempt))
        self._signal(effect.attempt, SIGUSR2, armed)

    def keep_incident(self, effect: Incident) -> Path | None:
        """Keep the evidence in a folder and record it; None where the disk refuses the folder."""
        run = self.run
        try:
            number, folder = run.incidents.open()
            run.incidents.write(
                folder,
                attempt=effect.attempt,
                failure=effect.failure,
                what=effect.what,
                evidence=effect.evidence,
                done=effect.done,
                log=partial(self._log_tail, effect.attempt),
            )
        except OSError as error:
            run.journal.log.error("incident_not_kept", error=str(error), what=effect.what)
            number, folder = 0, None
        run.journal.record(
            IncidentEntry(
                id=number,
                attempt=effect.attempt,
                failure=effect.failure,
                what=effect.what,
                evidence=effect.evidence,
                done=effect.done,
                folder=str(folder) if folder else None,
            )
        )
        return folder

    def _log_tail(self, attempt: int, bytes_max: int) -> bytes:
        """The last bytes that an attempt printed. Raises OSError."""
        if self._parts.attempt is None:
            return PrintedLog(self.run.paths.train_log, offset=0).tail(bytes_max)
        if self._printed_before is not None and self._parts.attempt.number > attempt:
            return self._printed_before.tail(bytes_max, until=self._parts.attempt.printed)
        return self._parts.attempt.printed.tail(bytes_max)

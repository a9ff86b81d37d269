"""The daemon's regular work besides decisions: status, account, checkpoints, ledger reserve."""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from supervisor.checkpoint.pins import pinned
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.saves import CheckpointRemovedEntry
from supervisor.core.events import Event, Surveyed, SurveyFailed
from supervisor.core.rules.checkpoint_choice import may_go_back
from supervisor.core.states import State
from supervisor.core.status import Status
from supervisor.core.vocabulary import RunState, Tier
from supervisor.daemon.act.performer import Performer
from supervisor.daemon.act.pruner import Pruner
from supervisor.daemon.act.save_failures import SaveFailures
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.look.memory_tier import PersistFailure
from supervisor.daemon.look.slow_patterns import SlowPatterns
from supervisor.daemon.look.surveyor import Answer
from supervisor.daemon.parts import Parts
from supervisor.daemon.run import Run
from supervisor.daemon.tell.checkpoint_verdicts import entry_of, notes_of, record_unsettled
from supervisor.daemon.tell.journal import record_account
from supervisor.daemon.tell.long_survey import LongReading
from supervisor.daemon.tell.missing_checkpoints import MissingCheckpoints
from supervisor.daemon.tell.others import Others
from supervisor.daemon.tell.recovery import RecoveryTeller
from supervisor.daemon.tell.resume_warning import ResumeWarning
from supervisor.daemon.tell.started_entry import started_entry
from supervisor.daemon.tell.status import StatusFacts, status_of
from supervisor.daemon.tell.status_writing import write_shown
from supervisor.daemon.tell.tee import Tee, is_wanted
from supervisor.survey.answer import Survey
from supervisor.system import journal_stream
from supervisor.system.clock import monotonic_s, wall_s

STATUS_S = 1.0
# After so long this daemon has come up: the launcher's note that none can start is removed.
UP_AFTER_S = 2.0
ACCOUNT_S = 300.0
RESERVE_S = 60.0
# A save in progress changes the directory again and again.
SURVEY_PAUSE_S = 2.0
LISTING_PAUSE = 200.0
UNSETTLED_S = 2.5
_REMOVAL_S = 5.0
# The order of the fields in the ledger, as it always was.
_GONE = ("why", "to", "path")
_PRUNED_AT_END = frozenset({RunState.COMPLETED, RunState.PREEMPTED, RunState.STOPPED})


class PeriodicWork:
    """Called from the loop; none of it decides anything."""

    def __init__(self, run: Run, parts: Parts, performer: Performer, facts: StatusFacts) -> None:
        self._run = run
        self._parts = parts
        self._tee = Tee(sys.stdout.fileno(), enabled=is_wanted(run.config.logging.tee, os.environ))
        self._performer = performer
        self._facts = facts
        self._pruner = Pruner(run, lambda: parts.hooks.in_use)
        self._troubles = SaveFailures(run, parts.snapshots, performer.keep_incident)
        self._reading = LongReading(run.console.say)
        self._recovery = RecoveryTeller(run, parts.next_save, parts.save_costs)
        self._slow_patterns = SlowPatterns(run.progress, run.surveyor, run.rules)
        self._others = Others(run, lambda: parts.hooks.warnings)
        self._resume_warning = ResumeWarning(run.console)
        self._status_at = 0.0
        self._up_at = monotonic_s() + UP_AFTER_S
        self._account_at = monotonic_s() + ACCOUNT_S
        self._reserve_at = 0.0
        self._listing: tuple[tuple[str, int], ...] | None = None
        self._survey_at = 0.0
        self._again_at: float | None = None
        budget = run.history.budget
        self._progress: dict[str | None, int | None] = {None: budget.progress_step}
        self._progress.update(budget.progress_places)
        self._unpruned: Survey | None = None
        self._last: Survey | None = None
        self._missing = MissingCheckpoints(run.console)

    def note_started(self, attempt: RunningAttempt, state: State) -> None:
        """Record a start, and say it."""
        run, checkpoint, pid = self._run, state.checkpoint, attempt.pid
        self._facts.trainer_pid = pid
        self._facts.restarts += 1 if attempt.number > 1 else 0
        run.journal.record(started_entry(attempt, checkpoint, run.config))
        # A trainer that looks for its checkpoint itself may find one that the daemon cannot name.
        is_its_own = checkpoint is None and run.config.resume.by == "trainer"
        origin = "which finds its checkpoint itself" if is_its_own else "from nothing"
        if checkpoint is not None:
            at = "" if checkpoint.step is None else f" (step {checkpoint.step})"
            origin = f"from {Path(checkpoint.path).name}{at}"
            origin += ", the snapshot in memory" if checkpoint.tier == Tier.MEMORY else ""
        how = "started warm" if attempt.is_warm else "started"
        run.console.say(f"attempt {attempt.number} {how}, pid {pid}, {origin}")
        if checkpoint is not None and checkpoint.path in run.surveyor.caveats:
            self._warn(run.surveyor.caveats[checkpoint.path])
        record_account(self._run.journal, state)
        self._parts.saves.begin(pid, is_resumed=checkpoint is not None)
        told = None if checkpoint is None or checkpoint.step is None else checkpoint
        self._parts.steps.begin(
            attempt.number,
            told.path if told is not None and told.tier != Tier.MEMORY else None,
            wall_s(),
            # `chosen` is a moment of this daemon's own launches. What another daemon told its
            # attempt is not known.
            is_fresh=checkpoint is None and not is_its_own and "chosen" in attempt.moments,
        )
        if checkpoint is None and attempt.number > 1:
            self._warn_of_unknown_names()

    def _warn_of_unknown_names(self) -> None:
        """Warn of files that look like weights: they may be checkpoints, and are trained over."""
        names = self._run.surveyor.unrecognised(self._parts.times.first or 0.0)
        if not names:
            return
        beside = f"{self._run.surveyor.directory}: training began from nothing beside"
        what = "if that is a checkpoint, write `checkpoints: {pattern: ...}`"
        self._warn(f"{beside} {', '.join(names[:3])}; {what}")

    def _warn(self, line: str) -> None:
        """Say it on the terminal, and keep it in `status`, once."""
        self._run.console.say(line, journal_stream.WARNING)
        if line not in self._facts.warnings:
            self._facts.warnings = (*self._facts.warnings, line)

    def note_look(self, attempt: RunningAttempt) -> None:
        """Record what a look found besides signs of life: failed saves, a vanished directory."""
        self._facts.last_save_s = attempt.last_save_s or self._facts.last_save_s
        self._parts.scheduler.note_save(attempt.last_save_s)
        self._tee.show(attempt.look.lines if attempt.look else ())
        self._parts.next_save.follow(attempt.number, attempt.started_at)
        if attempt.signs.are_all_here:  # ranks elsewhere are not told, and end at once
            self._parts.next_save.tell(attempt.heartbeat_dir)
            attempt.save_times = self._parts.next_save.times
        if (look := attempt.look) is not None:
            self._parts.saves.note_observed(look.observed, look.course, monotonic_s())
            self._parts.steps.note_look(look, monotonic_s(), wall_s())
        self._troubles.note_lines(attempt)
        if attempt.is_vanished:
            self._troubles.note_vanished(attempt)

    def note_last_look(self, attempt: RunningAttempt) -> None:
        """Take in the last look at an attempt that has ended: its last steps and lines."""
        if attempt.look is not None:
            self._parts.steps.note_look(attempt.look, monotonic_s(), wall_s())
        self._tee.show(attempt.last_words())

    def note_failed_persists(self, failures: Sequence[PersistFailure], state: State) -> None:
        """Record what the persister could not do."""
        for failure in failures:
            self._troubles.note_failed_persist(failure, state)

    def take_survey(self, answer: Answer, state: State, emit: Callable[[Event], None]) -> None:
        """Note what a survey found, and pass its event on."""
        try:
            self.note_survey(answer, state)
        finally:  # a decision waits for the event, whatever becomes of the bookkeeping
            emit(self._with_facts(answer.event))

    def _with_facts(self, event: Surveyed | SurveyFailed) -> Surveyed | SurveyFailed:
        """The event with what is known besides the checkpoints, for a decision."""
        if not isinstance(event, Surveyed) or not event.deciding:
            return event
        taken = self._run.directory_claim.conflict()
        return replace(event, unseen=self._parts.saves.found, taken=taken)

    def note_survey(self, answer: Answer, state: State) -> None:
        """Record new verdicts; prune, unless a decision is being made from these checkpoints."""
        if answer.survey is None:
            return
        self._run.directory_claim.note_survey(answer.survey)
        self._last = answer.survey
        self._parts.saves.note_survey(answer.survey, state.attempt)
        self._parts.steps.note_survey(answer.survey)
        self._parts.note_saves(answer.survey)
        self._recovery.note_survey(answer.survey, self._parts.times.started)
        self._resume_warning.note_survey(answer.survey)
        entries: list[Entry] = []
        for found in answer.news:
            folder = str(found.path.parent)
            place = folder if folder in self._run.named.all() else None
            reached = self._progress.get(place)
            ahead = found.step is not None and (reached is None or found.step > reached)
            progress = bool(found.valid and found.own_run and ahead)
            if progress:
                self._progress[place] = found.step
            entries.append(entry_of(found, progress=progress))
        entries += [
            CheckpointRemovedEntry(path=path, why="gone", keys=_GONE) for path in answer.gone
        ]
        entries += notes_of(answer.survey, self._run.surveyor.recorded, alive=state.alive)
        if entries:
            self._run.journal.record(*entries)
        # A checkpoint without our manifest counts only once it was left alone for a while.
        # A verdict on files that just changed is not kept. Both are surveyed again.
        unsettled = any(not e.rememberable and e.tier == Tier.DISK for e in answer.survey.entries)
        self._again_at = monotonic_s() + UNSETTLED_S if unsettled else None
        again_s = self._missing.note(answer.survey, self._facts, alive=state.alive)
        if again_s is not None:
            self._again_at = min(self._again_at or float("inf"), monotonic_s() + again_s)
        self._unpruned = answer.survey if may_go_back(state) else None
        if self._unpruned is None and state.resume_doubt is None:
            self._pruner.prune(answer.survey, pinned(self._run.paths.pins))

    def poll(self, state: State, now: float) -> None:
        """At each poll: look for checkpoints, keep status, account and reserve."""
        self._parts.times.note_clock(wall_s())
        self._run.directory_claim.poll()
        self._recovery.poll(state, self._parts.attempt, now)
        self._resume_warning.poll(state)
        self._reading.poll(now, is_waited_for=state.surveying and self._run.surveyor.is_busy)
        if now >= self._survey_at and not state.surveying and not self._run.surveyor.is_busy:
            listing = self._run.surveyor.listing()
            # Thousands of checkpoints, or a slow file system, are looked at less often.
            self._survey_at = now + LISTING_PAUSE * (monotonic_s() - now)
            due = self._again_at is not None and now >= self._again_at
            due = due or (state.alive and self._parts.saves.is_due(now))
            if listing != self._listing or due:
                self._listing, self._again_at = listing, None
                self._survey_at = now + SURVEY_PAUSE_S
                self._performer.survey(deciding=False)
        for line in self._slow_patterns.news():
            self._warn(line)
        if now >= self._up_at:
            self._up_at = float("inf")
            with contextlib.suppress(OSError):  # `status` shows it until the disk is writable again
                self._run.paths.no_daemon.unlink(missing_ok=True)
        if now >= self._status_at:
            self.show(state)
        if now >= self._account_at:
            self._account_at = now + ACCOUNT_S
            self._run.kernel_log.read()
            record_account(self._run.journal, state)
        if now >= self._reserve_at:
            self._reserve_at = now + RESERVE_S
            if self._run.journal.ledger.backlog:
                self._run.journal.record()
            self._run.journal.ledger.ensure_reserve()

    def show(self, state: State) -> None:
        """Show the run as it is now; a disk that refuses costs the display, never the run."""
        now = monotonic_s()
        self._status_at = now + STATUS_S
        status = self._status(state, now)
        self._others.tell(status, now)
        write_shown(self._run, status)

    def _status(self, state: State, now: float) -> Status:
        wall = wall_s()
        attempt = self._parts.attempt
        look = attempt.look if attempt is not None else None
        self._facts.snapshot = self._parts.snapshots.snapshot_status()
        self._facts.persister = self._parts.snapshots.persister_status()
        self._facts.launch = self._parts.standby.status(state)
        elsewhere = self._parts.saves.warning if state.alive else None
        self._facts.no_adapter = None if attempt is None else attempt.adapter_absence.why
        told = (
            self._run.directory_claim.warning, self._performer.doubt, elsewhere, state.elsewhere,
            state.resume_doubt, self._resume_warning.warning, self._recovery.warning,
            *self._others.warnings,
        )  # fmt: skip
        self._facts.doubts = tuple(line for line in told if line is not None)
        self._facts.slurm = self._parts.scheduler.status(wall)
        self._facts.changed = self._parts.changes.told
        self._recovery.fill(self._facts, state)
        self._others.fill(self._facts, now, alive=state.alive)
        return status_of(state, self._facts, look, now=now, wall=wall)

    def finish(self, state: State) -> None:
        """Prune a last time, write the account and the last status, and tell others."""
        self.prune_last(state)
        for line in self._slow_patterns.news():  # the last diagnosis may have found one
            self._warn(line)
        record_unsettled(self._run.journal, self._last)
        record_account(self._run.journal, state)
        self._recovery.say_last(state)
        self.tell_last(state)

    def tell_last(self, state: State) -> None:
        """Tell others of the end, and again once SLURM was asked to start the job again."""
        now = monotonic_s()
        write_shown(self._run, self._status(state, now))
        self._others.finish(state, self._status(state, now), now)
        write_shown(self._run, self._status(state, now))  # with what came of the last messages

    def prune_last(self, state: State) -> None:
        """Prune what was kept for a decision."""
        # The last pruning can begin only once the one under way has ended, and no daemon follows.
        self._pruner.finish(_REMOVAL_S)
        is_doubted = state.resume_doubt is not None or may_go_back(state)
        if self._unpruned is not None and state.run in _PRUNED_AT_END and not is_doubted:
            self._pruner.prune(self._unpruned, pinned(self._run.paths.pins))
            self._pruner.finish(_REMOVAL_S)

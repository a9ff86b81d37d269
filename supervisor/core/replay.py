"""Sums the ledger's entries up into the history of the run."""

from collections.abc import Iterable
from dataclasses import fields, replace

from supervisor.core.entries.attempt import (
    AttemptEndedEntry,
    AttemptStartedEntry,
    AttemptUnwatchedEntry,
    ChangedEntry,
    FirstStepEntry,
    HungEntry,
    LeftTrainingEntry,
    ParkedEntry,
    RanksGoneEntry,
    Source,
    StartFailedEntry,
)
from supervisor.core.entries.decision import (
    BeginAgainEntry,
    DecisionEntry,
    ExistingDecidedEntry,
    IntentEntry,
    ReopenedEntry,
    ResumedEntry,
    StopRequestedEntry,
    SuspendedEntry,
)
from supervisor.core.entries.entry import Stamped
from supervisor.core.entries.resuming import (
    NotResumedEntry,
    ResumeDoubtedEntry,
    ResumeSeenEntry,
    StepsBeganEntry,
    StepsWentBackEntry,
)
from supervisor.core.entries.run import (
    DaemonStartedEntry,
    RunCreatedEntry,
    SupervisorEndedEntry,
    SupervisorStartedEntry,
    TimeEntry,
)
from supervisor.core.entries.saves import (
    CheckpointVerdictEntry,
    GoingBackEntry,
    ProgressEntry,
    SaveFailedEntry,
    SaveIntervalEntry,
    SaveSeenEntry,
    SavesElsewhereEntry,
)
from supervisor.core.entries.trainer import (
    DescribedEntry,
    IntervalHintEntry,
    RecoveryEntry,
    SignDescribedEntry,
    SignsEntry,
    TrainerToldEntry,
)
from supervisor.core.history import History, Pause
from supervisor.core.job import IdleStops
from supervisor.core.replayed_description import with_description, with_told
from supervisor.core.replayed_end import charged, with_end
from supervisor.core.rules.budget import cleared, with_headway, with_place
from supervisor.core.rules.patience import beyond
from supervisor.core.rules.step_counters import fold_counters
from supervisor.core.rules.warm_launch import Launched, WarmTrust, trust_at_first_step
from supervisor.core.states import Account, Checkpoint
from supervisor.core.vocabulary import Action, Failure, Intent, Phase, RunState, StopSource, Tier


def fold(ledger: Iterable[Stamped]) -> History:
    """The history that the entries tell."""
    history = History()
    for noted in ledger:
        history = fold_entry(history, noted)
        recoveries = history.recoveries.with_entry(noted.entry, noted.wall)
        if recoveries is not history.recoveries:
            history = replace(history, recoveries=recoveries)
        last_training = history.last_training.with_entry(noted.entry)
        if last_training is not history.last_training:
            history = replace(history, last_training=last_training)
        first = history.first_attempt_wall
        if first is not None and 0.0 < noted.wall < first:
            # The clock was set back: files of this run may be as old as this entry, but not older.
            history = replace(history, first_attempt_wall=noted.wall)
    return history


def fold_entry(past: History, noted: Stamped) -> History:
    """The history with one more entry."""
    wall, entry = noted.wall, noted.entry
    match entry:
        case RunCreatedEntry():
            return replace(past, run_id=entry.run_id, name=entry.name)
        case SupervisorStartedEntry():
            boot = entry.boot_id or past.boot
            counted = noted.moment(boot) if past.accounted is None else past.accounted
            return replace(
                past, ended_state=None, stop_by=None, stop_late=False, asked_by=None, hung=None,
                pause=None, supervisor_wall=wall, accounted=counted, boot=boot,
            )  # fmt: skip
        case DaemonStartedEntry():
            return replace(past, boot=entry.boot_id or past.boot)
        case SupervisorEndedEntry():
            return replace(past, ended_state=entry.state, accounted=noted.moment(past.boot))
        case AttemptStartedEntry():
            return _with_start(past, entry, wall)
        case StopRequestedEntry():
            asked_by = past.asked_by if entry.by is StopSource.INTENT else entry.by
            if past.stop_by is None:  # a further request gives no more time
                past = replace(past, stop_at=noted.moment(past.boot), stop_excused_s=0.0)
                past = replace(past, stop_wall=entry.asked_wall or wall)
            return replace(past, stop_by=entry.by, stop_late=entry.late, asked_by=asked_by)
        case SuspendedEntry():
            return replace(past, stop_excused_s=past.stop_excused_s + (entry.gap_s or 0.0))
        case IntentEntry(intent=Intent.RUN):
            return replace(past, pause=None)  # it ends a wait
        case LeftTrainingEntry():
            return replace(past, left_training=entry.attempt)
        case HungEntry():
            return replace(past, hung=entry.reason, hung_as=entry.failure)
        case RanksGoneEntry():
            return replace(past, ranks_gone=True)
        case NotResumedEntry():
            return replace(past, not_resumed=entry.reason)
        case ResumeDoubtedEntry():
            return replace(past, resume_doubt=entry.reason)
        case ResumeSeenEntry():
            return replace(past, resume_doubt=None)
        case StepsBeganEntry() | StepsWentBackEntry() | SaveSeenEntry():
            return replace(past, counters=fold_counters(past.counters, entry))
        case SaveIntervalEntry():
            if entry.auto is not None:
                return replace(past, chosen=entry)
            return replace(past, save_interval_s=entry.interval_s)
        case SignsEntry():
            learned = past.learned.with_signs(entry.longest_gap_s, entry.longest_phase_s)
            return replace(past, learned=learned.as_recorded())
        case SaveFailedEntry():
            return replace(past, failed_save_at=entry.failed_at or wall)
        case FirstStepEntry():
            took_s = entry.startup_s or 0.0
            return replace(
                past, ever_attached=True, first_step_seen=True,
                learned=past.learned.with_seen(Phase.STARTUP, took_s),
                times=past.times.with_start(took_s, warm=entry.is_warm),
                warm=trust_at_first_step(past.warm),
            )  # fmt: skip
        case ParkedEntry():
            times = replace(past.times, park_s=entry.seconds)
            return replace(past, times=times, rss_bytes=entry.rss_bytes)
        case AttemptUnwatchedEntry():
            return replace(past, end_told=True)
        case AttemptEndedEntry():
            return with_end(past, noted, entry)
        case ChangedEntry():
            return replace(past, last_good=past.last_good.with_change(entry))
        case DescribedEntry() | SignDescribedEntry():
            return with_description(past, entry)
        case TrainerToldEntry():
            return with_told(past, entry)
        case RecoveryEntry():
            keys = (*past.recovery_keys, entry.about)
            return replace(past, recovery=entry.sentences, recovery_keys=keys)
        case IntervalHintEntry():
            told, count = (entry.interval_s, entry.best_s), past.interval_hints + 1
            past = replace(past, interval_told=told, interval_hints=count)
            return replace(past, interval_hint=entry.sentence)
        case ProgressEntry(step=step, written=written):
            budget = with_place(with_headway(past.budget), entry.place, step)
            return replace(
                past,
                budget=replace(budget, progress_step=step, progress_written=written),
                last_good=past.last_good.with_progress(),
                hung_at=beyond(past.hung_at, step, is_new=True),
            )
        case DecisionEntry():
            return _with_decision(past, noted, entry)
        case StartFailedEntry():
            return charged(replace(past, last_attempt_open=False), noted, entry)
        case SavesElsewhereEntry():
            return replace(past, unseen=str(entry.advice or entry.directory))
        case CheckpointVerdictEntry(valid=True, own_run=True) if past.unseen is not None:
            return replace(past, unseen=None)
        case BeginAgainEntry():
            # The run begins again from nothing, so that steps count anew.
            budget = replace(cleared(past.budget), progress_step=None, progress_written=None)
            budget = replace(budget, progress_places=())
            return replace(
                past, begin_again=True, held=None, pause=None, budget=budget,
                reached_step=None, reached_trainings=(), doubt=None, rollback=False, back_to=None,
                resumed_step=max(past.resumed_step or 0, past.reached_step or 0) or None,
                counters=fold_counters(past.counters, entry), resume_doubt=None,
            )  # fmt: skip
        case ExistingDecidedEntry():
            return replace(past, existing=entry.choice)
        case GoingBackEntry():
            # Going back is decided once. If a daemon dies between the moves of checkpoints, the
            # next daemon makes the remaining moves.
            return replace(past, rollback=False, back_to=entry.step)
        case ResumedEntry():
            idle_stops = IdleStops(0, past.budget.idle_stops.progress)
            trusts = past.held is not None and past.held_for == Failure.RESUME_IGNORED
            return replace(
                past, held=None, failed_at=(), pause=None, hung_at=None, resume_doubt=None,
                budget=replace(cleared(past.budget), idle_stops=idle_stops),
                resume_is_trusted=past.resume_is_trusted or trusts,
                last_intent_id=entry.intent_id, warm=WarmTrust.TRUSTED,
            )  # fmt: skip
        case ReopenedEntry():
            return replace(past, finished=False, held=None, reopened=True)
        case TimeEntry():
            spent = {one.name: float(getattr(entry, one.name)) for one in fields(Account)}
            return replace(past, account=Account(**spent), accounted=noted.moment(past.boot))
        case _:
            return past


def _with_start(past: History, entry: AttemptStartedEntry, wall: float) -> History:
    source, first = entry.checkpoint, past.first_attempt_wall
    is_fresh = source is None
    steps = (past.resumed_step, None if source is None else source.step)
    known = None if past.launched is None else past.launched.why_cold
    # A trainer that looks for its checkpoints itself may find one. So its first step is unknown.
    fresh_at = None if entry.resumes_by == "trainer" else 0
    return replace(
        past,
        attempt=entry.attempt,
        last_good=past.last_good.with_start(entry.attempt),
        first_attempt_wall=wall if first is None else first,
        begun_wall=wall if is_fresh else past.begun_wall,
        attempt_wall=wall,
        resumed_step=max((step for step in steps if step is not None), default=None),
        resumed_from=_on_disk(source), not_resumed=None,
        source=_checkpoint(source),
        progress_before=(past.budget.progress_step, past.budget.progress_written),
        log_offset=entry.log_offset,
        log_inode=entry.log_inode,
        restarts=past.restarts + (1 if past.attempt else 0),
        launched=Launched(entry.is_warm, known if entry.is_warm else entry.why_cold),
        last_attempt_open=True, end_told=False, first_step_seen=False, ended_wall=None,
        finished=False, ended_killed=True, ended_step=None, begin_again=False,
        unseen=past.unseen if is_fresh else None, rollback=False, back_to=None, held=None,
        stop_by=None, stop_late=False, hung=None, pause=None,
        begun_at=fresh_at if source is None else source.step, ranks_gone=False,
        described=None, described_entries=0, trainer_told=(), training_places=(),
    )  # fmt: skip


def _checkpoint(source: Source | None) -> Checkpoint | None:
    """The checkpoint that an attempt was resumed from."""
    if source is None:
        return None
    return Checkpoint(source.path, source.step, tier=source.tier, proof=source.proof)


def _on_disk(source: Source | None) -> str | None:
    """The path of the checkpoint, if it is on the disk and its step is known."""
    is_told = source is not None and source.step is not None and source.tier != Tier.MEMORY
    return source.path if source is not None and is_told else None


def _with_decision(past: History, noted: Stamped, entry: DecisionEntry) -> History:
    past = replace(past, rollback=past.rollback or entry.action == Action.ROLLBACK, pause=None)
    match entry.state:
        case RunState.BACKOFF | RunState.WAITING:
            pause = Pause(
                RunState(entry.state),
                noted.moment(past.boot),
                entry.wait_s or 0.0,
                entry.failure,
                Action.read(entry.action, entry.state),
                entry.reason or "",
                entry.place,
            )
            return replace(past, pause=pause)
        case RunState.HELD | RunState.STUCK:
            return replace(past, held=str(entry.reason), held_for=entry.failure)
        case RunState.COMPLETED:
            return replace(past, finished=True, reopened=False)
        case _:
            return past

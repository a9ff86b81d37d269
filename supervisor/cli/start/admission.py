"""Whether a run may start: what the ledger, the operator and the disk say. It writes nothing."""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from supervisor.cli.ask_survey import request_for
from supervisor.cli.record import read_history
from supervisor.cli.runtime_directories import runtime_parent
from supervisor.cli.show.formatting import age_text, wall_of
from supervisor.config.model import RunConfig
from supervisor.core.entries.decision import DecisionEntry
from supervisor.core.entries.entry import Stamped
from supervisor.core.history import History
from supervisor.core.vocabulary import ExitCode, Failure, Intent, RunState, Tier
from supervisor.errors import SupervisorError
from supervisor.rundir.intent import UNREADABLE, IntentRecord, read_intent
from supervisor.rundir.lock import holder, is_held
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.runtime_directory import PLACE
from supervisor.survey.survey import survey
from supervisor.system.clock import wall_s


class AdmissionVerdict(StrEnum):
    """Whether `run` starts a run, and if not, why."""

    START = "start"
    FINISHED = "finished"
    STOPPED = "stopped"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Admission:
    """A verdict, its reason, and the facts to record before a start."""

    verdict: AdmissionVerdict
    reason: str = ""
    resumed_by: str | None = None
    """The id of the intent (`supervisor resume`) that lets a held run go on."""
    reopens: bool = False


def admit(
    paths: RunPaths,
    config: RunConfig,
    *,
    again: bool,
    from_nothing: bool = False,
    is_corrected: bool = False,
) -> Admission:
    """Decide from what is on record.

    `from_nothing`: `--from-nothing` was given. It lets a run go on that is held because its
    checkpoints are missing or unseen. `is_corrected`: the run is to have a new command, which
    answers its hold; the lock's holder asks first whether it still may. Raises SupervisorError if
    the directory belongs to a run of another name, and OSError.
    """
    history, ledger = read_history(paths)
    if history.name is not None and history.name != config.name:
        raise SupervisorError(
            f"{paths.run_dir}: belongs to the run {history.name!r}, not to {config.name!r}",
            hint="give this run another run_dir, or change `name` back",
            code=ExitCode.CONFIGURATION,
        )
    try:
        intent = read_intent(paths.intent)
    except OSError as error:
        why = f"{paths.intent}: cannot be read: {error.strerror}"
        return Admission(AdmissionVerdict.HELD, f"{why}; so what the operator wants is not known")
    lifts = history.held is not None and (is_corrected or _lifts(intent, history, ledger))
    is_answered = from_nothing and history.held_for in (
        Failure.CHECKPOINTS_MISSING,
        Failure.CHECKPOINTS_UNSEEN,
    )
    match judge(history, intent.intent, lifts=lifts or is_answered, again=again):
        case AdmissionVerdict.FINISHED:
            return Admission(AdmissionVerdict.FINISHED, _finished_reason(ledger))
        case AdmissionVerdict.STOPPED:
            return Admission(
                AdmissionVerdict.STOPPED, f"stopped with `supervisor stop`{_since(intent)}"
            )
        case AdmissionVerdict.HELD if intent.id == UNREADABLE:
            return Admission(
                AdmissionVerdict.HELD,
                f"{paths.intent} cannot be understood",
            )
        case AdmissionVerdict.HELD if intent.intent is Intent.HOLD:
            return Admission(AdmissionVerdict.HELD, f"held with `supervisor hold`{_since(intent)}")
        case AdmissionVerdict.HELD:
            return Admission(AdmissionVerdict.HELD, history.held or "")
        case AdmissionVerdict.START:
            resumed_by = intent.id if lifts else None
            reopens = again and history.finished
            return Admission(AdmissionVerdict.START, resumed_by=resumed_by, reopens=reopens)


def judge(history: History, intent: Intent, *, lifts: bool, again: bool) -> AdmissionVerdict:
    """The verdict alone, pure. `lifts`: the operator's answer ends the hold that is on record."""
    if history.finished and not again:
        return AdmissionVerdict.FINISHED
    if intent is Intent.STOP:
        return AdmissionVerdict.STOPPED
    if intent is Intent.HOLD or (history.held is not None and not lifts):
        return AdmissionVerdict.HELD
    return AdmissionVerdict.START


def refuse_bad_place(run_dir: Path, checkpoints: Path) -> None:
    """Refuse a directory with a file in its way. Raises SupervisorError."""
    kinds = ((run_dir, "run", "run_dir"), (checkpoints, "checkpoint", "checkpoints.directory"))
    for directory, kind, key in kinds:
        place = directory
        while not os.path.lexists(place) and place != place.parent:
            place = place.parent
        # A link that leads nowhere passes: its target may not be mounted now.
        if place.exists() and not place.is_dir():
            raise SupervisorError(
                f"{directory}: cannot be a {kind} directory: {place} is a file",
                hint=f"choose another {key}",
                code=ExitCode.CONFIGURATION,
            )


def refuse_missing_cwd(config: RunConfig) -> None:
    """Refuse a `cwd` that this process cannot enter. Raises SupervisorError."""
    place = config.cwd
    if place is None or (os.access(place, os.X_OK) and Path(place).is_dir()):
        return
    what = "not a directory that you may enter" if os.path.lexists(place) else "does not exist"
    raise SupervisorError(
        f"cwd {place}: {what}",
        hint="correct `cwd` in the configuration, or mount what is missing",
        code=ExitCode.CONFIGURATION,
    )


def refuse_living_original(paths: RunPaths, history: History) -> None:
    """Refuse a run whose directory is a copy of one that lives on this machine, or the reverse.

    Original and copy have the same run id. So each would end the other's processes, and both would
    use one place for their snapshots. Raises SupervisorError (69) that names the living one.
    """
    parent = runtime_parent()
    if parent is None or history.run_id is None:
        return
    try:
        other = RunPaths(Path((parent / history.run_id / PLACE).read_text()).parent)
        is_same = other.state_dir.samefile(paths.state_dir)
    except OSError:
        return  # no run of this id has left its place there, or its directory is gone
    if is_same or not is_held(other):
        return
    owner = holder(other)
    who = owner.describe_with_time() if owner else "another process"
    raise SupervisorError(
        f"{paths.run_dir}: this is a copy of {other.run_dir}, whose run lives: {who} has it",
        hint=f"stop that run first (`supervisor stop {other.run_dir}`), or begin a new run from the"
        " checkpoints: another run_dir, and `resume: {existing: use}`",
        code=ExitCode.LOCKED,
    )


def refuse_over_checkpoints(paths: RunPaths, config: RunConfig) -> None:
    """Refuse `--from-nothing` where there is a checkpoint to go on from. Raises SupervisorError."""
    newest = survey(request_for(paths, config)).newest_valid
    if newest is not None and newest.tier == Tier.DISK:
        raise SupervisorError(
            f"{newest.path}: is valid; --from-nothing is only for a run without a valid checkpoint",
            hint="to go on from this checkpoint, leave the option out; to train anew, change"
            " `name`",
            code=ExitCode.USAGE,
        )


def _lifts(intent: IntentRecord, history: History, ledger: list[Stamped]) -> bool:
    """Whether `supervisor resume` was called after the run was held, and has not been used yet."""
    if not intent.id or intent.id == history.last_intent_id:
        return False
    last = _last_decision(ledger, RunState.HELD, RunState.STUCK)
    if last is None:
        return True
    held_at, held = last
    if held.has("intent_id"):
        # Another id than the one at the hold is a newer intent. Clocks may have been set back.
        return intent.id != held.intent_id
    said_at = wall_of(intent.at)
    return said_at is not None and said_at > held_at


def _finished_reason(ledger: list[Stamped]) -> str:
    """How and when the run was finished."""
    last = _last_decision(ledger, RunState.COMPLETED)
    when = f" {age_text(wall_s() - last[0])}" if last is not None and last[0] else ""
    return f"finished{when}"


def _last_decision(ledger: list[Stamped], *states: RunState) -> tuple[float, DecisionEntry] | None:
    """The last decision that led to one of these states, and its wall time."""
    for noted in reversed(ledger):
        match noted.entry:
            case DecisionEntry() as decided if decided.state in states:
                return noted.wall, decided
    return None


def _since(intent: IntentRecord) -> str:
    """` 3m ago`, or nothing where the intent has no time."""
    wall = wall_of(intent.at)
    return f" {age_text(wall_s() - wall)}" if wall is not None else ""

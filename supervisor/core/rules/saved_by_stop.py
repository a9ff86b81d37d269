"""What a stop saved. The time when a file was written decides, not when the daemon saw it."""

from dataclasses import dataclass

from supervisor.core.ending import Ending
from supervisor.core.sign_of_life import OwnSave
from supervisor.core.states import Checkpoint, Stop
from supervisor.core.vocabulary import ExitCode

# The kernel stamps files by a clock that ticks every 1 to 10 ms. A signal to a whole job reaches
# the trainer a little earlier than the daemon.
MARGIN_S = 0.1
# A file system that keeps whole seconds rounds down; FAT rounds down to even seconds.
WHOLE_SECONDS_S = 2.0
_SHORT_S, _MINUTES_S, _HOURS_S = 1.0, 120.0, 7200.0


@dataclass(frozen=True, slots=True)
class SavedByStop:
    """Whether the stop saved a checkpoint, and the words for what is saved and what is lost."""

    is_saved: bool
    words: str


def what_was_saved(
    stop: Stop,
    candidates: tuple[Checkpoint, ...],
    ending: Ending,
    clock_ahead_s: float | None,
) -> SavedByStop:
    """What became of a stop, by the durable `candidates`, newest first.

    `clock_ahead_s`: how far the checkpoints' file system is ahead of the machine's clock. None:
    that is not known. Times cannot be compared then, and a checkpoint that was not seen before the
    stop counts as saved after it.
    """
    if not candidates:
        return _nothing(stop, ending)
    newest = newest_after(stop, candidates, clock_ahead_s)
    if newest is not None:
        return _after(newest, stop, ending)
    ahead_s = 0.0 if clock_ahead_s is None and stop.late else clock_ahead_s
    return _before(_furthest(candidates), stop, ending, ahead_s)


def newest_after(
    stop: Stop, candidates: tuple[Checkpoint, ...], clock_ahead_s: float | None
) -> Checkpoint | None:
    """The furthest of the checkpoints that were written after the stop; None where none was."""
    ahead_s = 0.0 if clock_ahead_s is None and stop.late else clock_ahead_s
    after = tuple(one for one in candidates if _is_after(one, stop, ahead_s))
    return _furthest(after) if after else None


def _is_after(one: Checkpoint, stop: Stop, ahead_s: float | None) -> bool:
    """Whether the checkpoint's write ended after the stop. It may have begun before."""
    age_s = _age_at_stop_s(one, stop, ahead_s)
    if age_s is not None:
        return age_s < 0
    if one.step is not None:
        return stop.progress_before is None or one.step > stop.progress_before
    known = one.written is not None
    return known and (stop.written_before is None or (one.written or 0) > stop.written_before)


def _age_at_stop_s(one: Checkpoint, stop: Stop, ahead_s: float | None) -> float | None:
    """How long before the stop it was written, negative for after; None where that is unknown."""
    if one.written is None or stop.wall is None or ahead_s is None:
        return None
    age_s = stop.wall - (one.written - ahead_s)
    margin_s = WHOLE_SECONDS_S if one.written == int(one.written) else MARGIN_S
    return age_s if age_s > margin_s else -1.0


def _furthest(candidates: tuple[Checkpoint, ...]) -> Checkpoint:
    """The checkpoint with the highest step, or the newest where none tells its step."""
    known = [one for one in candidates if one.step is not None]
    return max(known, key=lambda one: one.step or 0) if known else candidates[0]


def _after(newest: Checkpoint, stop: Stop, ending: Ending) -> SavedByStop:
    is_own = stop.own_save is not None
    if newest.step is None:
        to = f"at its own save, {_name(newest)}" if is_own else f"to {_name(newest)}"
        return SavedByStop(True, f", saved {to}")
    lost = _steps_since(newest.step, ending)
    since = f"; {_lost(lost)}" if lost else ""
    at = f"at its own save, step {newest.step}" if is_own else f"at step {newest.step}"
    return SavedByStop(True, f", saved {at}{since}")


def _before(newest: Checkpoint, stop: Stop, ending: Ending, ahead_s: float | None) -> SavedByStop:
    """A stop that saved nothing: the newest checkpoint is a routine one from before it."""
    what = _name(newest) if newest.step is None else f"step {newest.step}"
    age_s = _age_at_stop_s(newest, stop, ahead_s)
    words = f"; newest checkpoint: {what}, from {'' if age_s is None else _long(age_s)}before"
    words = f"{_why_unsaved(stop)}{words} the stop"
    lost = None if newest.step is None else _steps_since(newest.step, ending)
    if lost is None:
        return SavedByStop(False, f"{_at(ending)}{words}; the steps since then are lost")
    if lost == 0:
        # The newest checkpoint holds the last step: nothing was left to save. Only the trainer's
        # own outcome says for certain that it stopped in order.
        says_so = ending.outcome_code == ExitCode.PREEMPTED
        return SavedByStop(says_so, f"{words}; no step since then is lost")
    return SavedByStop(False, f"{words}; {_lost(lost)}")


def _why_unsaved(stop: Stop) -> str:
    """Why a trainer that saves at its own times alone has saved nothing; else empty."""
    match stop.own_save:
        case OwnSave.NOT_DUE:
            return ", nothing was saved: its next save was not due within the grace"
        case OwnSave.AWAITED | OwnSave.MADE | OwnSave.MISSED:
            return ", nothing was saved: its next save did not come within the grace"
        case None:
            return ""


def _nothing(stop: Stop, ending: Ending) -> SavedByStop:
    if ending.told_checkpoint is not None:
        where = f"{ending.told_checkpoint} by rank 0, on another node"
        return SavedByStop(True, f"{_at(ending)}, saved to {where}")
    why = _why_unsaved(stop)
    if ending.step is None:
        return SavedByStop(False, why or "; nothing was saved where the supervisor looks")
    lost = _lost(ending.step, "step 0")
    return SavedByStop(False, f"{_at(ending)}{f'{why}; {lost}' if why else f', not saved: {lost}'}")


def _steps_since(step: int, ending: Ending) -> int | None:
    """How many steps came after `step`; None where the attempt's steps do not tell."""
    if ending.step is not None:
        return ending.step - step if ending.step >= step else None
    if ending.logged is None:
        return None
    # The log counts as the checkpoint does: it went past this very step, and never back.
    first, last = ending.logged
    return last - step if first <= step <= last else None


def _lost(count: int, since: str = "then") -> str:
    many = f"{count} steps since {since} are lost"
    return f"1 step since {since} is lost" if count == 1 else many


def _long(seconds: float) -> str:
    if seconds < _SHORT_S:
        return "less than a second "
    if seconds < _MINUTES_S:
        return f"{seconds:.0f} s "
    if seconds < _HOURS_S:
        return f"{seconds / 60:.0f} min "
    return f"{seconds / 3600:.0f} h "


def _name(one: Checkpoint) -> str:
    return one.path.rpartition("/")[2]


def _at(ending: Ending) -> str:
    return "" if ending.step is None else f" at step {ending.step}"

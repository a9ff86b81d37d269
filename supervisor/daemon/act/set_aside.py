"""Sets checkpoints aside before a launch: invalid ones, and those later than the new start.

The trainer's own pointers are corrected too: its next attempt must find the chosen checkpoint.
"""

from pathlib import Path

from supervisor.checkpoint.pointers import Correction, Pointer, correct, find_pointers
from supervisor.checkpoint.set_aside import INVALID, SUPERSEDED, put_aside, roots_of
from supervisor.core.effects import SetAside
from supervisor.core.entries.saves import CheckpointRemovedEntry, PointerSetEntry
from supervisor.core.states import Checkpoint
from supervisor.daemon.look.memory_tier import Snapshots
from supervisor.daemon.run import Run
from supervisor.survey.nested_folders import nested_folders
from supervisor.system import journal_stream

# A slow file system must not hold up the launch.
_WALK_S = 2.0


def set_aside(effect: SetAside, run: Run, snapshots: Snapshots) -> None:
    """Move each checkpoint and record it. One that cannot be moved is reported, and stays."""
    moves = [(path, INVALID, reason) for path, reason in effect.invalid]
    step = effect.after_step
    reason = "the run goes on without it" if step is None else f"the run goes on from step {step}"
    moves += [(path, SUPERSEDED, reason) for path in effect.later]
    # The launch claims the directory as well, but it comes after these moves. In a directory that
    # is still marked by a finished run, nothing may be moved before it is taken over.
    refused = run.directory_claim.begin()
    if refused is not None:
        # The launch that follows is refused, and says why.
        run.journal.log.warning("nothing_set_aside", reason=refused)
        return
    for path, shelf, why in moves:
        refused = run.directory_claim.refusal(Path(path).parent)
        if refused is not None:  # a directory of an earlier attempt is another run's by now
            run.journal.log.warning("not_set_aside", path=path, reason=refused)
            continue
        try:
            place = _put_aside(path, shelf, why, run, snapshots)
        except FileNotFoundError:
            continue  # The trainer's own rotation was faster.
        except OSError as error:
            line = f"{path} cannot be set aside: {error.strerror}"
            run.console.say(line, journal_stream.WARNING)
            run.journal.log.error("set_aside_failed", path=path, error=str(error))
            continue
        run.surveyor.forget(path)
        to = None if place is None else str(place)
        run.journal.record(CheckpointRemovedEntry(path=path, why=shelf, reason=why, to=to))
        where = "" if place is None else f"; it is now in {place.parent}"
        run.console.say(f"{Path(path).name} is set aside ({shelf}): {why}{where}")


def _put_aside(path: str, shelf: str, why: str, run: Run, snapshots: Snapshots) -> Path | None:
    """Move a checkpoint on the disk, or give up a snapshot in memory (None). Raises OSError."""
    if not snapshots.holds(path):
        # Surveys look for what was set aside beside the checkpoint directory, not beside the
        # folders below it.
        own, folder = run.surveyor.directories[0], Path(path).parent
        is_below = folder not in run.surveyor.directories and folder.is_relative_to(own)
        root_of = own if is_below else folder
        return put_aside(Path(path), shelf, why, roots=roots_of(root_of, run.paths.set_aside))
    if not snapshots.void(path, wherever=shelf == SUPERSEDED):
        raise FileNotFoundError(path)
    return None


def correct_pointers(run: Run, chosen: Checkpoint | None, cwd: str) -> None:
    """Make the trainer's pointers to set-aside checkpoints name the chosen one; record each.

    Done before each launch, not only after a move: a daemon may be killed between move and
    correction. A pointer that cannot be corrected is reported, and stays.
    """
    for directory in run.surveyor.directories:
        is_there = chosen is not None and chosen.place in (None, str(directory))
        target = Path(chosen.path) if chosen is not None and is_there else None
        _correct_in(directory, target, run, cwd)


def _correct_in(directory: Path, target: Path | None, run: Run, cwd: str) -> None:
    roots = roots_of(directory, run.paths.set_aside)
    found: list[Pointer] = []
    own, *named = run.surveyor.directories
    below = nested_folders(own, run_id=run.run_id, most_s=_WALK_S) if directory == own else []
    for folder in (directory, *(one for one in below if one not in named)):
        try:
            found += find_pointers(folder, roots, Path(cwd), target)
        except OSError as error:
            run.journal.log.error("pointers_not_read", directory=str(folder), error=str(error))
    for pointer in found:
        try:
            correction = correct(pointer, target, roots)
        except OSError as error:
            line = f"{pointer.path} names a checkpoint that was set aside, and cannot be changed"
            run.console.say(f"{line}: {error.strerror}", journal_stream.WARNING)
            run.journal.log.error("pointer_not_set", path=str(pointer.path), error=str(error))
            continue
        _tell(correction, run)


def _tell(correction: Correction, run: Run) -> None:
    path, was, to, place = correction
    moved = None if place is None else str(place)
    run.journal.record(PointerSetEntry(path=str(path), was=was, to=to, place=moved))
    now = (
        f"the pointer names {to} now"
        if place is None
        else f"the pointer is set aside too, in {place.parent}"
    )
    run.console.say(f"{path.name} named {was}, which is set aside: {now}")

"""Which run a checkpoint directory belongs to: the marks there, judged by what can be seen here.

A mark is never passed over for its age (design: age alone proves nothing).
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from supervisor.checkpoint import owner_mark
from supervisor.checkpoint.owner_mark import MarkFile, OwnerMark
from supervisor.core.entries.attempt import AttemptStartedEntry
from supervisor.core.entries.decision import DecisionEntry, ReopenedEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.reading import read_entry
from supervisor.core.entries.run import RunCreatedEntry
from supervisor.core.vocabulary import RunState
from supervisor.rundir.ledger import decode_entry
from supervisor.rundir.lock import is_held
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.save_writers import recorded_times
from supervisor.system.mounts import is_network, mount_points

_MOST_LINE = 4 << 20


class Standing(StrEnum):
    """How a run stands to a checkpoint directory. A later member outweighs an earlier one."""

    FREE = "free"
    OWN = "own"
    OVER = "over"
    """Marked by a run that provably exists no more, or is finished and may be gone on from."""
    UNSEEN = "unseen"
    """Marked by a run whose record cannot be seen from here."""
    TAKEN = "taken"
    """Marked by a run that exists."""


_WEIGHT = {standing: weight for weight, standing in enumerate(Standing)}


@dataclass(frozen=True, slots=True)
class Claimant:
    """The run that asks for the directory."""

    run_id: str | None
    """None before the run's first daemon."""
    name: str
    run_dir: Path
    goes_on_from_others: bool
    """`resume: {existing: use}`: a finished run's directory may be taken over."""
    config: str = "CONFIG"
    """The configuration's path, as a shell takes it."""
    trains_since: float | None = None
    """Set for a directory that the run's trainer named: when the run's training began, seconds
    since 1970. It is known only once the trainer is there, and may hold files of its own."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One mark, and what it means for the run that asks."""

    file: MarkFile
    standing: Standing
    why: str = ""


@dataclass(frozen=True, slots=True)
class Ownership:
    """A directory's marks, and the one of them that counts."""

    directory: Path
    """The checkpoint directory, with links resolved."""
    marks: tuple[Judged, ...]

    @property
    def weightiest(self) -> Judged | None:
        """The mark that decides; None where there is none."""
        return max(self.marks, key=lambda one: _WEIGHT[one.standing], default=None)

    @property
    def standing(self) -> Standing:
        """How the run that asked stands to the directory."""
        found = self.weightiest
        return Standing.FREE if found is None else found.standing

    def of(self, standing: Standing) -> tuple[Judged, ...]:
        """The marks of one standing."""
        return tuple(one for one in self.marks if one.standing is standing)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run may not save into a directory, and what to do about it."""

    message: str
    hint: str
    is_of_finished: bool = False
    """The other run is finished: nobody saves there now."""


def look(directory: Path, claimant: Claimant) -> Ownership:
    """Judge a directory's marks. It writes nothing and never raises for what it finds."""
    place = owner_mark.resolved(directory)
    return Ownership(place, tuple(_judge(file, place, claimant) for file in owner_mark.find(place)))


def refusal(ownership: Ownership, claimant: Claimant) -> Refusal | None:
    """Why the run that asked may not have the directory; None where it may."""
    found = ownership.weightiest
    if found is None or found.standing not in (Standing.UNSEEN, Standing.TAKEN):
        return None
    mark, asks = found.file.mark, f"the run {claimant.name!r} ({claimant.run_dir})"
    own = "give one of the two runs a `checkpoints.directory` of its own"
    if claimant.trains_since is not None:
        own = (
            "give one of the two runs another output directory by its trainer's own option, such as"
            " `--output_dir`"
        )
    where = ownership.directory
    if found.standing is Standing.TAKEN and mark is not None:
        said = (
            f"{where}: {mark.describe()} saves there{found.why}; {asks} cannot save there as well"
        )
        # Never advise to remove the other run's directory: it may hold the checkpoints.
        over = f"; if the other run is over for good, remove {found.file.path}"
        if found.why and claimant.trains_since is not None:
            over = ", or leave the directory to this run: `resume: {existing: use}`"
        elif found.why:
            over = ", or go on from its checkpoints: `resume: {existing: use}`"
        return Refusal(said, own + over, is_of_finished=bool(found.why))
    line = f"supervisor run {claimant.config} --take-over"
    option = f"; if the other run is over for good: `{line}`"
    if mark is None:
        said = f"{where}: which run saves there is not known ({found.why}); {asks} cannot begin"
        return Refusal(said, own + option)
    said = f"{where}: {mark.describe_fully()}, saves there and cannot be seen ({found.why})"
    return Refusal(f"{said}; {asks} cannot begin", own + option)


def _judge(file: MarkFile, directory: Path, claimant: Claimant) -> Judged:
    mark = file.mark
    if mark is None:
        return Judged(file, Standing.UNSEEN, f"{file.path}: {file.problem}")
    if mark.run_id == claimant.run_id:
        return Judged(file, Standing.OWN)
    there = RunPaths(Path(mark.run_dir))
    try:
        run_id, finished = _recorded(there.ledger)
    except (FileNotFoundError, NotADirectoryError):
        return _judge_gone(file, mark, there, claimant)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return Judged(file, Standing.UNSEEN, f"{there.ledger}: {why}")
    if run_id == mark.run_id:
        if not finished:
            return Judged(file, Standing.TAKEN)
        if claimant.goes_on_from_others:
            return Judged(file, Standing.OVER, "that run is finished")
        if _is_bare(directory, there, claimant.trains_since):
            return Judged(file, Standing.OVER, "that run is finished, and left nothing there")
        return Judged(file, Standing.TAKEN, ", and is finished")
    if run_id is None:
        return Judged(file, Standing.UNSEEN, f"{there.ledger} does not say which run it belongs to")
    hidden = _hidden(mark)
    # On another machine's own disk, the same path is another directory.
    if hidden is None and not mark.is_here() and not is_network(there.run_dir):
        hidden = f"on this machine another run is in {there.run_dir}"
    if hidden is not None:
        return Judged(file, Standing.UNSEEN, hidden)
    return Judged(file, Standing.OVER, "its run directory holds another run")


def _is_bare(directory: Path, there: RunPaths, trains_since: float | None) -> bool:
    """Whether the directory holds nothing that two runs could mix up: no visible file.

    Files of the run that asks do not count, unless the other run's record has saves of that name.
    """
    try:
        with os.scandir(directory) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
            if not visible or trains_since is None:
                return not visible
            is_old = any(one.stat(follow_symlinks=False).st_mtime < trains_since for one in visible)
        names = {one.path for one in visible}
        return not is_old and not any(path in names for path, _ in recorded_times(there.run_dir))
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _judge_gone(file: MarkFile, mark: OwnerMark, there: RunPaths, claimant: Claimant) -> Judged:
    """Judge a mark whose run directory has no ledger: the run is gone, or not seen from here."""
    hidden = _hidden(mark)
    if hidden is None and not mark.is_here() and not _would_be_seen(there, claimant):
        hidden = f"{there.run_dir} does not exist on this machine"
    if hidden is not None:
        return Judged(file, Standing.UNSEEN, hidden)
    if not _is_same(there.run_dir, claimant.run_dir) and _is_living(there):
        return Judged(file, Standing.TAKEN)  # it lives: a full disk has delayed its first record
    return Judged(file, Standing.OVER, "its run directory is gone")


def _would_be_seen(there: RunPaths, claimant: Claimant) -> bool:
    """Whether another machine's run directory would be seen from here, if it still existed.

    It would be on a network file system. It would also be if this run's directory is the same: a
    container has another host name at each start.
    """
    return _is_same(there.run_dir, claimant.run_dir) or is_network(there.run_dir)


def _hidden(mark: OwnerMark) -> str | None:
    """Why a look at the mark's run directory proves nothing; None where it proves something."""
    points = mount_points()
    if mark.mount is None or mark.mount == "/" or points is None or not mark.is_here():
        return None
    return None if Path(mark.mount) in points else f"{mark.mount} is not mounted"


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _is_living(there: RunPaths) -> bool:
    """Whether a supervisor has that run. It never waits for a pipe in the lock's place."""
    try:
        return stat.S_ISREG(there.lock.stat().st_mode) and is_held(there)
    except OSError:
        return False


def _recorded(ledger: Path) -> tuple[str | None, bool]:
    """The id of the run that a ledger tells of, and whether that run is finished.

    Raises OSError, and ValueError where the ledger is no regular file.
    """
    if not stat.S_ISREG(ledger.stat().st_mode):
        raise ValueError("it is not a file")
    run_id, finished = None, False
    for entry in _entries(ledger):
        match entry:
            case RunCreatedEntry():
                run_id = entry.run_id
            case DecisionEntry(state=RunState.COMPLETED):
                finished = True
            case ReopenedEntry() | AttemptStartedEntry():
                finished = False
    return run_id, finished


def _entries(ledger: Path) -> Iterator[Entry]:
    """The ledger's entries. Lines are bounded: any user may have written the mark that led here.

    Raises OSError.
    """
    fd = os.open(ledger, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        while line := file.readline(_MOST_LINE):
            record = decode_entry(line)
            if record is not None:
                yield read_entry(record)

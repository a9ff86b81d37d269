"""Makes a checkpoint directory a run's own, unless another run has it; `ownership` judges that."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from supervisor.checkpoint import owner_mark
from supervisor.checkpoint.owner_mark import MarkFile, OwnerMark
from supervisor.core.entries.run import TookOverEntry
from supervisor.rundir.ownership import Claimant, Judged, Ownership, Standing, look

# Two runs that begin at the same time change the mark while the other looks, a few times at most.
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Claim:
    """What came of a claim."""

    ownership: Ownership
    """As it was found last."""
    taken: tuple[Judged, ...] = ()
    """The marks of other runs, from which the directory was taken over."""
    place: Path | None = None
    """Where the run's own mark lies; None where there is none yet."""
    problem: str | None = None
    """Why a mark could not be written."""


def claim(
    directory: Path, claimant: Claimant, *, has_checkpoint: bool, by_force: bool = False
) -> Claim:
    """Mark the directory as the run's, unless another run has it. Marks of ended runs go.

    `has_checkpoint`: the mark may lie inside. Without one it may not, since tools refuse an output
    directory that is not empty. `by_force`: a run that cannot be seen from here is over as well.
    A mark that cannot be written is told in the claim.
    """
    assert claimant.run_id is not None
    mine = owner_mark.mark_of(claimant.run_id, claimant.name, claimant.run_dir)
    taken: list[Judged] = []
    for _ in range(_TRIES):
        found = look(directory, claimant)
        if any(owner_mark.put_back(one.file) for one in found.marks):
            continue  # a run that was killed had moved the mark
        if found.of(Standing.TAKEN) or (found.of(Standing.UNSEEN) and not by_force):
            return Claim(found, tuple(taken))
        others = (*found.of(Standing.OVER), *found.of(Standing.UNSEEN))
        problems: list[str] = []
        replaced = [_replace(one.file, _in_place(mine, one.file.path, found), problems)
                    for one in others]  # fmt: skip
        taken += [one for one, how in zip(others, replaced, strict=True) if how]
        if any(how is not None for how in replaced):
            continue  # look again: the marks are the run's own now, or another run was quicker
        kept = frozenset(one.file.path for one in others)
        place = _settle(found, mine, problems, kept, has_checkpoint=has_checkpoint)
        if place is False:
            continue
        if place is not None and not found.of(Standing.OWN):
            taken += others  # marks that cannot be removed are told about once
        return Claim(found, tuple(taken), place, "; ".join(problems) or None)
    return Claim(found, tuple(taken), None, "other runs mark the directory again and again")


def took_over(made: Claim) -> list[tuple[TookOverEntry, str]]:
    """What a claim took from other runs: for the ledger, and for people."""
    where = made.ownership.directory
    told: list[tuple[TookOverEntry, str]] = []
    for one in made.taken:
        mark = one.file.mark
        entry = TookOverEntry(
            directory=str(where),
            run_id=None if mark is None else mark.run_id,
            run_dir=None if mark is None else mark.run_dir,
        )
        who = "a mark that cannot be read" if mark is None else mark.describe()
        told.append((entry, f"the run takes {where} over from {who}: {one.why}"))
    return told


def _replace(file: MarkFile, mine: OwnerMark, problems: list[str]) -> bool | None:
    """Put the run's mark in another's place; False if a third came between, None if it fails."""
    try:
        return owner_mark.replace_other(file, mine)
    except OSError as error:
        problems.append(f"{file.path}: {error.strerror}")
        return None


def _settle(
    found: Ownership,
    mine: OwnerMark,
    problems: list[str],
    kept: frozenset[Path],
    *,
    has_checkpoint: bool,
) -> Path | Literal[False] | None:
    """Make or renew the run's own mark, and return its place; False where another came in between.

    None where no place could be written. `kept`: marks of ended runs that could not be replaced
    (another user's, in a sticky directory). The other place is tried then.
    """
    directory = found.directory
    is_root = owner_mark.is_mount_root(directory)
    beside, inside = owner_mark.beside(directory), owner_mark.inside(directory)
    own = [one.file for one in found.of(Standing.OWN)]
    for file in own:
        _renew(file, mine, problems)
    settled = [file.path for file in own if not (is_root and file.path == beside)]
    if settled:
        return settled[0]
    places: list[Path] = [*(() if is_root else (beside,)), *((inside,) if has_checkpoint else ())]
    for place in (one for one in places if one not in kept):
        try:
            made = owner_mark.make(place, _in_place(mine, place, found))
        except OSError as error:
            problems.append(f"{place}: {error.strerror}")
            continue
        if made:
            return place
        again = owner_mark.find(directory)
        if any(file.path == place for file in again):
            return False
        # The mark beside `ckpt/ckpt` has the name of the mark inside `ckpt`: it is for that one.
        problems.append(f"{place}: this is the mark of another directory")
    return own[0].path if own else None


def _renew(file: MarkFile, mine: OwnerMark, problems: list[str]) -> None:
    """Renew the mark if the run's directory was moved, or the run is on another machine now."""
    said = file.mark
    if said is None or said.is_like(mine):
        return
    try:
        owner_mark.renew(file.path, replace(mine, since=said.since, inode=said.inode))
    except OSError as error:
        problems.append(f"{file.path}: {error.strerror}")


def _in_place(mine: OwnerMark, place: Path, found: Ownership) -> OwnerMark:
    if place.parent != found.directory:
        return mine
    try:
        return replace(mine, inode=found.directory.stat().st_ino)
    except OSError:
        return mine

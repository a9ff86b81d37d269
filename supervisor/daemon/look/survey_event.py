"""Makes the core's event of a survey: the checkpoints to choose from are those of one directory."""

from collections.abc import Collection, Sequence

from supervisor.checkpoint.how_to_resume import how_to_resume
from supervisor.checkpoint.records import ENDED, CheckpointEntry
from supervisor.checkpoint.validate import is_resumable
from supervisor.core.events import Surveyed
from supervisor.core.states import Checkpoint
from supervisor.core.vocabulary import Tier
from supervisor.survey.answer import Survey


def survey_event(survey: Survey, named: Collection[str], *, deciding: bool) -> Surveyed:
    """The event. `named`: the directories that trainers named and that the survey looked into."""
    there = [entry for entry in survey.entries if entry.tier != Tier.SET_ASIDE]
    usable = [e for e in there if e.candidate and is_resumable(e)]
    ended = next((e.name for e in there if e.candidate and e.reason == ENDED), None)
    chosen = _of_one_place(usable, named)
    return Surveyed(
        candidates=tuple(_checkpoint(e, named) for e in chosen),
        exists=survey.exists,
        invalid=tuple(
            (str(e.path), e.reason or "invalid")
            for e in there
            if e.valid is False and (e.candidate or e.own_run)
        ),
        undecided=tuple(str(path) for path in survey.undecided),
        missing=None if survey.missing is None else survey.missing.sentence,
        unmounted=survey.bare_mount,
        torn_first=survey.torn_first,
        ended=None if ended is None else f"{ended}: {ENDED}",
        how_to_resume=how_to_resume(chosen[0].path, chosen[0].hashes) if chosen else None,
        clock_ahead_s=survey.clock_ahead_s,
        deciding=deciding,
    )


def _of_one_place(
    usable: Sequence[CheckpointEntry], named: Collection[str]
) -> list[CheckpointEntry]:
    """The snapshots in memory, and the first directory's checkpoints on the disk.

    Steps of two directories do not compare: a second stage counts from 1, and the checkpoints of
    the first are not later ones. If there is only one step to choose from, earlier steps of the
    next directory follow: an attempt that must go one checkpoint further back finds them there.
    """
    places = dict.fromkeys(_place(e, named) for e in usable if e.tier == Tier.DISK)
    first, second = (*places, None, None)[:2]
    chosen = [e for e in usable if e.tier != Tier.DISK or _place(e, named) == first]
    steps = {e.step for e in chosen}
    if second is None or len(steps) != 1:
        return chosen
    (only,) = steps
    return [*chosen, *(e for e in usable if _place(e, named) == second and _is_before(e, only))]


def _place(entry: CheckpointEntry, named: Collection[str]) -> str:
    """The directory that a trainer named, which holds it; "" for the run's own, and below that."""
    return next((place for one in entry.path.parents if (place := str(one)) in named), "")


def _is_before(entry: CheckpointEntry, step: int | None) -> bool:
    is_known = entry.step is not None and step is not None
    return entry.tier == Tier.DISK and is_known and (entry.step or 0) < (step or 0)


def _checkpoint(e: CheckpointEntry, named: Collection[str]) -> Checkpoint:
    place = _place(e, named)
    return Checkpoint(
        str(e.path),
        e.step,
        e.epoch,
        e.kind,
        e.own_run,
        e.mtime,
        e.tier,
        e.ours,
        e.proof,
        place if place and e.tier == Tier.DISK else None,
    )

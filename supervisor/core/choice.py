"""Which checkpoint is resumed from, of those that are valid; and which are too late then."""

from collections.abc import Sequence

from supervisor.core.states import Checkpoint


def newest_but_left(candidates: Sequence[Checkpoint], back_to: int | None) -> Checkpoint:
    """The newest of candidates, the newest first; not one later than where the run goes back to.

    `back_to`: a step, where a daemon before was killed among the moves of the later ones.
    """
    if back_to is None:
        return candidates[0]
    kept = (one for one in candidates if one.step is None or one.step <= back_to)
    return next(kept, candidates[0])


def one_further_back(candidates: Sequence[Checkpoint], newest: Checkpoint) -> Checkpoint:
    """The newest of another step, on the disk or in memory; the newest itself if there is none."""
    return next((one for one in candidates if one.step != newest.step), newest)


def later_than(candidates: Sequence[Checkpoint], chosen: Checkpoint) -> tuple[str, ...]:
    """The paths of those that must not be there when the run goes on from this one."""
    if chosen.step is None:
        return ()
    return tuple(c.path for c in candidates if c.step is not None and c.step > chosen.step)

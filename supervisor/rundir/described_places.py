"""The checkpoint directories that a run's trainers named, as the ledger has them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from supervisor.core.history import NamedPlace

# Lightning makes a directory at each start, and a search one for each trial.
PLACES_MAX = 16


def as_recorded(path: str, run_dir: Path) -> str:
    """The path for the ledger: below the run directory it is relative, so that a move is no harm.

    A path that is the run directory itself is `.`.
    """
    place = Path(path)
    return str(place.relative_to(run_dir)) if place.is_relative_to(run_dir) else path


def described_places(
    run_dir: Path, places: Sequence[NamedPlace], known: Iterable[str]
) -> tuple[Path, ...]:
    """The directories to look into, 16 at most. The first one counts first.

    `places`: the last named first. It counts first. Of the others those count that the same
    attempt named, and those that hold a checkpoint on record: `known` are the paths of these.
    """
    if not places:
        return ()
    holding = {path.rpartition("/")[0] for path in known}
    kept = [
        run_dir / place.path
        for place in places
        if place.attempt == places[0].attempt or str(run_dir / place.path) in holding
    ]
    return tuple(kept[:PLACES_MAX])


def named_bests(run_dir: Path, bests: Iterable[str]) -> tuple[str, ...]:
    """The paths of the checkpoints that trainers called their best, from those on record."""
    return tuple(str(run_dir / best) for best in bests)

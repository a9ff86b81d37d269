"""The checkpoint directories that a run's trainers named, as the ledger has them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

# Lightning makes a directory at each start, and a search one for each trial.
PLACES_MAX = 16


def as_recorded(path: str, run_dir: Path) -> str:
    """The path for the ledger: below the run directory it is relative, so that a move is no harm.

    A path that is the run directory itself is `.`.
    """
    place = Path(path)
    return str(place.relative_to(run_dir)) if place.is_relative_to(run_dir) else path


def described_places(
    run_dir: Path, places: Sequence[str], known: Iterable[str]
) -> tuple[Path, ...]:
    """The directories to look into, the one that counts first being the first; at most 16.

    `places`: as recorded, the last named first. It counts first. The others count if they hold a
    checkpoint on record: `known` are the paths of those.
    """
    holding = {str(Path(path).parent) for path in known}
    found = [run_dir / place for place in places]
    kept = [one for index, one in enumerate(found) if index == 0 or str(one) in holding]
    return tuple(kept[:PLACES_MAX])


def named_bests(run_dir: Path, bests: Iterable[str]) -> tuple[str, ...]:
    """The paths of the checkpoints that trainers called their best, from those on record."""
    return tuple(str(run_dir / best) for best in bests)

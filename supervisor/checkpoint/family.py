"""Foreign checkpoints beside one another: what one lacks that its siblings have. Pure."""

import re
from collections.abc import Iterable

from supervisor.checkpoint.records import Remembered
from supervisor.checkpoint.stock import Stock
from supervisor.checkpoint.structure import is_payload

_STATE_FILES = ("training_state.json", "trainer_state.json", "train_state.json", ".index.json")
# These differ with the number of ranks, which may change at any restart, and the trainers resume
# without them or check them by an index of their own: one of a kind is enough.
_PER_RANK = (
    r"(.*rng_state_)\d+(\.pth)",
    r"(.*random_states_)\d+(\.pkl)",
    r"(.*__)\d+_\d+(\.distcp)",
    r"(.*)-\d{5,6}-of-\d{5,6}(\..*)",
)


def lacks(stock: Stock, step: int | None, before: Stock, before_step: int | None) -> str | None:
    """The first file of state that the one before has and this one lacks; None if it has all."""
    missing = _file_set(before, before_step) - _file_set(stock, step)
    return min(missing) if missing else None


def lacks_optimizer(stock: Stock, siblings: Iterable[Stock]) -> bool:
    """Whether it has no optimizer state while others have: it cannot be resumed from."""
    return (
        stock.is_directory
        and not _has_optimizer(stock)
        and any(_has_optimizer(sibling) for sibling in siblings)
    )


def unexplained_change(stock: Stock, hashes: dict[str, str], known: Remembered) -> str | None:
    """What changed since a checkpoint was first proven, unless the whole of it was written anew.

    Trainers do rewrite in place (nanoGPT's one file; HF after a rollback). Then every file of
    state has a newer time than any had before. New weights beside an old optimizer are a save
    that was cut off; a change under an old time is rot.
    """
    before = {name: value for name, value in known.hashes.items() if is_payload(name)}
    changed = sorted(name for name, value in before.items() if hashes.get(name) != value)
    if not changed:
        return None
    written_until = _newest_mtime_ns(known.fingerprint)
    untouched = sorted(
        name
        for name in before
        if name in stock.files and stock.files[name].mtime_ns <= written_until
    )
    if not untouched:
        return None
    what = "changed" if changed[0] in hashes else "vanished"
    return f"{changed[0]} {what} since it was first validated, {untouched[0]} was not written anew"


def _newest_mtime_ns(fingerprint: str) -> int:
    """The newest mtime when a fingerprint was taken (`HEX@NS`)."""
    _, _, newest = fingerprint.rpartition("@")
    return int(newest) if newest.isdecimal() else 0


def _has_optimizer(stock: Stock) -> bool:
    return any("optim" in name for name in stock.files)


def _file_set(stock: Stock, step: int | None) -> set[str]:
    """Names of the files of state, the same for every step and number of ranks."""
    if not stock.is_directory:
        return set()
    names = set()
    for name in stock.files:
        if not is_payload(name) and not name.endswith(_STATE_FILES):
            continue
        shown = name
        for pattern in _PER_RANK:
            shown = re.sub(pattern, r"\1*\2", shown)
        if step is not None:
            shown = re.sub(rf"(?<!\d)0*{step}(?!\d)", "{step}", shown)
        names.add(shown)
    return names

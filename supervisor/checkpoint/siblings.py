"""Foreign checkpoints beside one another: what one lacks that its series has. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from supervisor.checkpoint.contents import OPTIMIZER, is_payload, state_files
from supervisor.checkpoint.formats.table import PROGRESS_FILES, TOOLS
from supervisor.checkpoint.formats.tool_format import ToolFormat
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.names import series
from supervisor.checkpoint.records import Remembered
from supervisor.checkpoint.suffixes import INDEX_SUFFIX

_STATE_FILES = (*(progress.name for progress in PROGRESS_FILES), INDEX_SUFFIX)
# These differ with the number of ranks, which may change at any restart, and the trainers resume
# without them or check them by an index of their own: one of a kind is enough.
_PER_RANK = tuple(chain.from_iterable(tool.per_rank for tool in TOOLS))


class Member(NamedTuple):
    """One foreign checkpoint among the others."""

    stock: FileListing
    step: int | None
    own_run: bool


class Families:
    """Foreign checkpoints by series: names alike but for numbers, of one run, of one kind of file.

    Each is looked at once, however many there are.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        """`members`: newest first."""
        self._before: dict[Path, Member] = {}
        self._after: dict[Path, Member] = {}
        self._with_optimizer: set[tuple[str, bool, bool]] = set()
        self._by_key: dict[tuple[str, bool, bool], list[Member]] = {}
        newer: dict[tuple[str, bool, bool], Member] = {}
        for member in members:
            key = _key(member)
            if key in newer:
                self._before[newer[key].stock.path] = member
                self._after[member.stock.path] = newer[key]
            newer[key] = member
            self._by_key.setdefault(key, []).append(member)
            if _has_optimizer(member.stock):
                self._with_optimizer.add(key)

    def before(self, member: Member) -> Member | None:
        """The next older one of its series."""
        return self._before.get(member.stock.path)

    def older(self, member: Member, count: int) -> Iterator[Member]:
        """Up to so many older ones of its series, the next older one first."""
        before = self.before(member)
        for _ in range(count):
            if before is None:
                return
            yield before
            before = self.before(before)

    def siblings(self, member: Member) -> Sequence[Member]:
        """All of its series, newest first, itself among them."""
        return self._by_key[_key(member)]

    def neighbours(self, member: Member) -> tuple[Member, ...]:
        """The next older and the next newer one of its series, as far as there are any."""
        path = member.stock.path
        return tuple(found[path] for found in (self._before, self._after) if path in found)

    def has_optimizer(self, member: Member) -> bool:
        """Whether any of its series, itself included, has optimizer state."""
        return _key(member) in self._with_optimizer


def _none(name: str) -> bool:
    return False


def lacks(member: Member, before: Member, is_told: Callable[[str], bool] = _none) -> str | None:
    """The first file of state that the one before has and this one lacks; None if it has all.

    `is_told`: names of files of which a checkpoint says itself how many there must be.
    """
    names, names_before = member.stock.files.keys(), before.stock.files.keys()
    if names >= names_before and not _name_a_step(names_before, before.step):
        return None  # of thousands, most: the rest takes a while
    # A rank, too, may have the step's number: rank 2 of step 2 is there under its own name.
    needed = _file_set(before.stock, before.step, lambda name: name in names or is_told(name))
    missing = needed - _file_set(member.stock, member.step)
    return min(missing) if missing else None


def lacks_optimizer(member: Member, families: Families) -> bool:
    """Whether it has no optimizer state while others have: it cannot be resumed from."""
    return (
        member.stock.is_directory
        and not _has_optimizer(member.stock)
        and families.has_optimizer(member)
    )


def resets_optimizer(member: Member, families: Families) -> bool:
    """Whether a tool saved its weights, and an optimizer in none of the series.

    HF's `save_only_model` does: resuming begins with a new optimizer and the start of its schedule.
    """
    stock = member.stock
    return (
        stock.is_directory
        and not families.has_optimizer(member)
        and any(_holds_weights(stock, tool) for tool in TOOLS)
    )


def _holds_weights(stock: FileListing, tool: ToolFormat) -> bool:
    """Whether a tool saved more than what it saves beside weights, as far as that is known."""
    companions, progress = tool.companions, tool.progress
    if companions is None or progress is None or progress.name not in stock.files:
        return False
    return any(is_payload(name) and not re.fullmatch(companions, name) for name in stock.files)


def plain_name(name: str, step: int | None) -> str:
    """A file's name, the same for every step."""
    if step is None:
        return name
    digits = str(step)
    return re.sub(r"\d+", lambda run: _generic(run[0], digits), name)


def by_plain_name(member: Member) -> dict[str, str]:
    """Names of its plain files, by what each is called at every step.

    The name of a single file may say more than its step: a metric, the epoch.
    """
    stock = member.stock
    return {
        plain_name(name, member.step) if stock.is_directory else series(name): name
        for name, facts in stock.files.items()
        if facts.is_regular
    }


def _generic(run: str, digits: str) -> str:
    return "{step}" if (run.lstrip("0") or "0") == digits else run


def _name_a_step(names: Iterable[str], step: int | None) -> bool:
    digits = str(step)
    return any(digits in name for name in names)


def _key(member: Member) -> tuple[str, bool, bool]:
    return series(member.stock.path.name), member.stock.is_directory, member.own_run


def unexplained_change(stock: FileListing, hashes: dict[str, str], known: Remembered) -> str | None:
    """What changed since a checkpoint was first proven, unless the whole of it was written anew.

    Trainers do rewrite in place (nanoGPT's one file; HF after a rollback). Then every file of
    state has a newer time than any had before. New weights beside an old optimizer are a save
    that was cut off; a change under an old time is rot.
    """
    counted = state_files(known.hashes) if stock.is_directory else frozenset(known.hashes)
    before = {name: value for name, value in known.hashes.items() if name in counted}
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


def _has_optimizer(stock: FileListing) -> bool:
    return any(OPTIMIZER in name for name in stock.files)


def _file_set(
    stock: FileListing, step: int | None, is_told: Callable[[str], bool] = _none
) -> set[str]:
    """Names of the files of state, the same for every step and number of ranks."""
    if not stock.is_directory:
        return set()
    names = set()
    for name in stock.files:
        if (not is_payload(name) and not name.endswith(_STATE_FILES)) or is_told(name):
            continue
        shown = name
        for pattern in _PER_RANK:
            shown = re.sub(pattern, r"\1*\2", shown)
        names.add(plain_name(shown, step))
    return names

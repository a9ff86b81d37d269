"""Compares a foreign checkpoint with its series, to find what it lacks and the others have.

It compares the listings of their files, and reads no file.
"""

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

_STATE_FILES = (
    *(progress.name for progress in PROGRESS_FILES),
    *chain.from_iterable(tool.essential for tool in TOOLS),
    INDEX_SUFFIX,
)
# There is one such file for each rank, and the number of ranks may change at any restart. One file
# of a kind is enough: trainers resume without the others, or check them by an index of their own.
_PER_RANK = tuple(chain.from_iterable(tool.per_rank for tool in TOOLS))


class Member(NamedTuple):
    """A foreign checkpoint as a member of its series. `own_run`: this run made it."""

    stock: FileListing
    step: int | None
    own_run: bool


class Families:
    """Foreign checkpoints, grouped by series.

    The names in a series differ in their numbers alone. All its members are directories, or all are
    files. This run made all of them, or none. Each checkpoint is looked at once, however many there
    are.
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
        """The next older member of its series; None for the oldest."""
        return self._before.get(member.stock.path)

    def older(self, member: Member, count: int) -> Iterator[Member]:
        """Up to `count` older members of its series, from newer to older."""
        before = self.before(member)
        for _ in range(count):
            if before is None:
                return
            yield before
            before = self.before(before)

    def siblings(self, member: Member) -> Sequence[Member]:
        """All members of its series, newest first, `member` included."""
        return self._by_key[_key(member)]

    def neighbours(self, member: Member) -> tuple[Member, ...]:
        """The next older and the next newer member of its series, if they exist."""
        path = member.stock.path
        return tuple(found[path] for found in (self._before, self._after) if path in found)

    def has_optimizer(self, member: Member) -> bool:
        """Whether any member of its series, itself included, has optimizer state."""
        return _key(member) in self._with_optimizer


def _none(name: str) -> bool:
    return False


def lacks(member: Member, before: Member, is_told: Callable[[str], bool] = _none) -> str | None:
    """The first state file, by name, that `before` has and `member` lacks; None if it has all.

    `is_told`: whether `member` need not have the file of this name, by its own record.
    """
    names, names_before = member.stock.files.keys(), before.stock.files.keys()
    if names >= names_before and not _name_a_step(names_before, before.step):
        return None  # most of thousands of checkpoints end here; the rest is slow
    # In a name the step's number may be a rank's: rank 2 of step 2. A file that is there under its
    # own name is not missing.
    needed = _file_set(before.stock, before.step, lambda name: name in names or is_told(name))
    missing = needed - _file_set(member.stock, member.step)
    return min(missing) if missing else None


def lacks_optimizer(member: Member, families: Families) -> bool:
    """Whether a directory has no optimizer state, but others of its series have.

    Training cannot resume from such a checkpoint.
    """
    return (
        member.stock.is_directory
        and not _has_optimizer(member.stock)
        and families.has_optimizer(member)
    )


def resets_optimizer(member: Member, families: Families) -> bool:
    """Whether a tool saved the weights, but no member of the series has an optimizer.

    HF's `save_only_model` makes such saves. Resuming from one begins with a new optimizer and the
    start of its schedule.
    """
    stock = member.stock
    return (
        stock.is_directory
        and not families.has_optimizer(member)
        and any(_holds_weights(stock, tool) for tool in TOOLS)
    )


def _holds_weights(stock: FileListing, tool: ToolFormat) -> bool:
    """Whether a tool's save has state other than the `companions` that it saves beside weights.

    False if the save does not hold the tool's progress file, or its companions are not known.
    """
    companions, progress = tool.companions, tool.progress
    if companions is None or progress is None or progress.name not in stock.files:
        return False
    return any(is_payload(name) and not re.fullmatch(companions, name) for name in stock.files)


def plain_name(name: str, step: int | None) -> str:
    """A file's name with `{step}` for the step's number, so that every step has the same name."""
    if step is None:
        return name
    digits = str(step)
    return re.sub(r"\d+", lambda run: _generic(run[0], digits), name)


def by_plain_name(member: Member) -> dict[str, str]:
    """The names of its regular files, by their plain names.

    For a single file the key is the name of its series, because a single file's name may hold
    numbers beside the step: a metric, the epoch.
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
    """A sentence on what changed since a checkpoint was first proven; None if nothing did.

    None also if the whole checkpoint was rewritten. Trainers do rewrite in place (nanoGPT's one
    file; HF after a rollback). Then every state file has a newer time than any had before. New
    weights beside an old optimizer come from a save that was cut off. A changed file with an old
    time has rotted.
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
    return (
        f"{changed[0]} {what} since the first validation, but {untouched[0]} was not written anew"
    )


def _newest_mtime_ns(fingerprint: str) -> int:
    """The newest mtime in a fingerprint (`HEX@NS`), in ns since 1970; 0 if it has none."""
    _, _, newest = fingerprint.rpartition("@")
    return int(newest) if newest.isdecimal() else 0


def _has_optimizer(stock: FileListing) -> bool:
    return any(OPTIMIZER in name for name in stock.files)


def _file_set(
    stock: FileListing, step: int | None, is_told: Callable[[str], bool] = _none
) -> set[str]:
    """The names of the state files, in a form that is the same at every step and number of ranks.

    Empty for a single file. Files that `is_told` accepts are left out.
    """
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

"""Whether a checkpoint's name and the state in it tell the same step.

HF's Trainer writes both. If they differ, two saves are mixed, or the names count something else.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from supervisor.checkpoint.formats.table import PROGRESS_FILES
from supervisor.checkpoint.listing import FileListing, read_object
from supervisor.checkpoint.named_listing import list_files
from supervisor.checkpoint.names import parse_name, series
from supervisor.checkpoint.siblings import Families, Member

_ROUNDING = 0.01  # HF computes the epoch as batches done / batches per epoch
_MOST_SIBLINGS = 100
_NAMED_ALIKE = tuple(one for one in PROGRESS_FILES if one.has_step_of_name)


class _Steps(NamedTuple):
    """The step in the name (`named`), and the one in the state of `file` (`said`)."""

    file: str
    named: int
    said: float


class NamedSteps:
    """Compares the steps in names with the steps in states, series by series.

    If name and state differ in all checkpoints of a series, the names count something else, and
    nothing is wrong. The states of a series are read only if one of its checkpoints differs.
    """

    def __init__(self, families: Families) -> None:
        self._families = families
        self._is_by_step: dict[Path, bool] = {}

    def find_other_step(self, member: Member) -> str | None:
        """How a checkpoint's state contradicts its name; None if it does not. Raises OSError."""
        said = _difference(member.stock)
        if said is None:
            return None
        siblings = self._families.siblings(member)
        newest = siblings[0].stock.path
        if newest not in self._is_by_step:
            self._is_by_step[newest] = _are_by_step(one.stock for one in siblings)
        return said if self._is_by_step[newest] else None


def find_other_step(stock: FileListing) -> str | None:
    """Like the method, for a checkpoint whose siblings are not listed yet. Raises OSError."""
    said = _difference(stock)
    return said if said is not None and _are_by_step(_listed(stock)) else None


def _are_by_step(stocks: Iterable[FileListing]) -> bool:
    """Whether a series' names are steps: one agrees with its state, or at most one differs."""
    differing = 0
    for stock in stocks:
        with suppress(OSError):  # a checkpoint that cannot be read says nothing of the others
            steps = _steps(stock)
            if steps is not None and steps.named == steps.said:
                return True
            differing += steps is not None
    return differing <= 1


def _listed(stock: FileListing) -> Iterator[FileListing]:
    shape = series(stock.path.name)
    alike = (path for path in stock.path.parent.iterdir() if series(path.name) == shape)
    for path in islice(alike, _MOST_SIBLINGS):
        with suppress(OSError):
            yield list_files(path)


def _difference(stock: FileListing) -> str | None:
    steps = _steps(stock)
    if steps is None or steps.named == steps.said:
        return None
    return (
        f"{steps.file} says step {steps.said!s:.20}, but the checkpoint's name says step"
        f" {steps.named}"
    )


def _steps(stock: FileListing) -> _Steps | None:
    """The steps of name and state; None if one of them has none, or the name has the epoch."""
    # Not `stock.named`: what the user's pattern takes from a name may count something else.
    named = parse_name(stock.path.name)
    if not stock.is_directory or named is None or named.step is None:
        return None
    for progress in _NAMED_ALIKE:
        state = read_object(stock, progress.name)
        said, epoch = _number(state.get(progress.step_key)), _number(state.get(progress.epoch_key))
        if said is None:
            continue
        is_epoch = epoch is not None and said != named.step and abs(epoch - named.step) < _ROUNDING
        return None if is_epoch else _Steps(progress.name, named.step, said)
    return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value

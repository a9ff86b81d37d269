"""Compares the final states of two runs bit for bit, and describes the first differences."""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the final checkpoints: how many values were compared, and where they differ."""

    name: str
    values: int
    differences: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether there was something to compare and all of it was the same."""
        return self.values > 0 and not self.differences


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor, number and text in nested containers, with its place."""
    match value:
        case Mapping():
            for key in value:
                yield from leaves(value[key], f"{place}.{key}" if place else str(key))
        case str() | bytes():
            yield place, value
        case Sequence():
            for index, item in enumerate(value):
                yield from leaves(item, f"{place}[{index}]")
        case _:
            yield place, value


def is_same(first: Any, second: Any) -> bool:
    """Whether two leaves are equal in type and bits; a NaN equals a NaN with the same bits."""
    if type(first) is not type(second):
        return False
    if isinstance(first, torch.Tensor):
        return (
            first.dtype == second.dtype
            and first.shape == second.shape
            and torch.equal(as_bits(first), as_bits(second))
        )
    if isinstance(first, float):
        return struct.pack("d", first) == struct.pack("d", second)
    return bool(first == second)


def as_bits(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a tensor: -0.0 and 0.0 differ, and a NaN equals a NaN with the same bits."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


def compare_file(name: str, first: Path, second: Path) -> Part:
    """Compare one saved file of two checkpoints, leaf by leaf. Raises OSError."""
    ours, theirs = (
        dict(leaves(torch.load(path / name, map_location="cpu", weights_only=True)))
        for path in (first, second)
    )
    differences = [f"{place}: only in one of them" for place in sorted(ours.keys() ^ theirs.keys())]
    differences += [
        f"{place}: {summary(ours[place])} and {summary(theirs[place])}"
        for place in ours
        if place in theirs and not is_same(ours[place], theirs[place])
    ]
    values = sum(leaf.numel() if isinstance(leaf, torch.Tensor) else 1 for leaf in ours.values())
    return Part(name, values, tuple(differences))


def summary(leaf: Any) -> str:
    """A short text that is enough to tell two values apart."""
    if isinstance(leaf, torch.Tensor):
        return f"{leaf.dtype}{list(leaf.shape)} sum {leaf.double().sum().item()!r}"
    return repr(leaf)[:60]


def compare_checkpoints(first: Path, second: Path, required: Sequence[str]) -> list[Part]:
    """Compare every saved tensor file; a file that is not in both checkpoints is a difference."""
    names = {path.name for place in (first, second) for path in place.glob("*.pt")}
    return [
        compare_file(name, first, second)
        if (first / name).exists() and (second / name).exists()
        else Part(name, 0, ("not in both checkpoints",))
        for name in sorted(names | set(required))
    ]


def compare_curves(first: Path, second: Path) -> Part:
    """Compare two metrics files line by line; a step missing or doubled is a difference.

    Raises OSError, ValueError.
    """
    ours, theirs = (
        [json.loads(line) for line in path.read_text().splitlines()] for path in (first, second)
    )
    differences = []
    for label, rows in (("the supervised run", ours), ("the uninterrupted run", theirs)):
        if [row["step"] for row in rows] != list(range(1, len(rows) + 1)):
            differences.append(f"{label} has steps missing or doubled")
    if len(ours) != len(theirs):
        differences.append(f"{len(ours)} steps and {len(theirs)}")
    differences += [
        f"step {row['step']}: {row} and {other}"
        for row, other in zip(ours, theirs, strict=False)
        if row != other
    ]
    return Part(first.name, len(ours), tuple(differences))

"""The states that a power cut may leave of a recording, in the manner of ALICE (OSDI'14).

The model promises no more than POSIX. Bytes of a file are safe after an fsync of the file, and its
name after an fsync of its directory. Nothing else has an order. A rename adds the new name before
it removes the old one, and a crash may come between.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from typing import NamedTuple

from tests.chaos.operations import (
    Enter,
    Leave,
    Mark,
    Put,
    Recording,
    Resize,
    Swap,
    Sync,
    Tree,
    apply_put,
    apply_resize,
    lay_out,
)

BLOCK_BYTES = 4096
_STALE = bytes(range(1, 256)) * 17  # what a disk had in a block before: never zeros


class State(NamedTuple):
    """One possible aftermath: the tree, and the writer's words before the crash."""

    tree: Tree
    marks: tuple[str, ...]
    at: int
    """How many operations had begun."""
    lost: tuple[int, ...]
    """The operations on names that were lost."""


class Limits(NamedTuple):
    """How many combinations are taken: all up to a number, beyond it a seeded sample."""

    subsets: int = 128
    contents: int = 40
    combinations: int = 200
    seed: int = 1


def enumerate_states(recording: Recording, limits: Limits | None = None) -> Iterator[State]:
    """All legal states after each prefix of the operations; no tree twice with the same marks.

    The longest prefix comes first, because most is promised there.
    """
    limits = limits or Limits()
    seen: set[int] = set()
    for at in reversed(range(len(recording.operations) + 1)):
        for state in _states_at(recording, at, limits):
            tree = tuple(sorted(state.tree.items(), key=lambda item: item[0]))
            key = hash((tree, state.marks))
            if key not in seen:
                seen.add(key)
                yield state


def _states_at(recording: Recording, at: int, limits: Limits) -> Iterator[State]:
    operations = recording.operations[:at]
    chance = random.Random(limits.seed * 1_000_003 + at)
    synced: dict[int, int] = {}
    for operation in operations:
        if isinstance(operation, Sync):
            synced[operation.inode] = max(synced.get(operation.inode, 0), operation.covers)
    marks = tuple(one.text for one in operations if isinstance(one, Mark) and one.text)
    names = [i for i, one in enumerate(operations) if isinstance(one, Enter | Leave | Swap)]
    loose = [i for i in names if not _is_safe(operations[i], i, synced)]
    contents = {
        inode: _contents(recording, at, inode, synced.get(inode, 0), limits, chance)
        for inode in _files(recording, at)
    }
    for kept in _subsets(loose, limits.subsets, chance):
        folders = _folders(recording, at, frozenset(names) - frozenset(loose) | frozenset(kept))
        if folders is None:
            continue
        reached = _reached(folders)
        choices = {inode: kinds for inode, kinds in contents.items() if inode in reached}
        lost = tuple(sorted(set(loose) - set(kept)))
        for files in _choose(choices, limits.combinations, chance):
            yield State(lay_out(folders, files), marks, at, lost)


def _is_safe(operation: object, index: int, synced: dict[int, int]) -> bool:
    match operation:
        case Enter() | Leave():
            return index < synced.get(operation.folder, 0)
        case Swap():
            safe = (synced.get(operation.folder, 0), synced.get(operation.other_folder, 0))
            return index < max(safe)
    return False


def _files(recording: Recording, at: int) -> list[int]:
    touched = {i for i, one in recording.initial.items() if not one.is_folder}
    for operation in recording.operations[:at]:
        if isinstance(operation, Enter | Put | Resize) and operation.inode not in recording.folders:
            touched.add(operation.inode)
    return sorted(touched)


def _folders(
    recording: Recording, at: int, kept: frozenset[int]
) -> dict[int, dict[str, int]] | None:
    """The directories with those operations on names alone; None if a rename lost only its first
    half, which is no state."""
    folders: dict[int, dict[str, int]] = {inode: {} for inode in recording.folders}
    for inode, one in recording.initial.items():
        if one.entries is not None:
            folders[inode] = dict(one.entries)
    for index, operation in enumerate(recording.operations[:at]):
        if index not in kept:
            continue
        match operation:
            case Enter(folder, name, inode):
                folders[folder][name] = inode
            case Leave(folder, name, inode, after):
                if after is not None and after not in kept:
                    return None
                if folders[folder].get(name) == inode:
                    del folders[folder][name]
            case Swap():
                folders[operation.folder][operation.name] = operation.other_inode
                folders[operation.other_folder][operation.other_name] = operation.inode
    return folders


def _reached(folders: dict[int, dict[str, int]]) -> set[int]:
    reached, pending = set(), [0]
    while pending:
        number = pending.pop()
        if number not in reached:
            reached.add(number)
            pending += folders.get(number, {}).values()
    return reached


def _contents(
    recording: Recording, at: int, inode: int, covered: int, limits: Limits, chance: random.Random
) -> list[bytes]:
    """The possible contents of a file: synced bytes, and any of the other blocks, at any size."""
    data = bytearray(recording.initial[inode].data) if inode in recording.initial else bytearray()
    pieces: list[Put | Resize] = []
    for index, operation in enumerate(recording.operations[:at]):
        if isinstance(operation, Put | Resize) and operation.inode == inode:
            if index < covered:
                _apply(data, operation)
            else:
                pieces += _split(operation)
    if not pieces:
        return [bytes(data)]
    final = bytearray(data)
    for piece in pieces:
        _apply(final, piece)
    found: dict[bytes, None] = {}
    for kept in _subsets(range(len(pieces)), limits.contents, chance):
        some = bytearray(data)
        for index in kept:
            _apply(some, pieces[index])
        found[bytes(some)] = None
        gap = len(final) - len(some)
        if gap > 0:  # the size was written, the data were not: zeros, or what the disk had there
            found[bytes(some) + bytes(gap)] = None
            found[bytes(some) + (_STALE * (gap // len(_STALE) + 1))[:gap]] = None
    for size in _sizes(len(data), len(final)):
        found[bytes(final[:size])] = None
    found.pop(bytes(final), None)
    return [*found, bytes(final)]


def _apply(data: bytearray, operation: Put | Resize) -> None:
    if isinstance(operation, Put):
        apply_put(data, operation.offset, operation.data)
    else:
        apply_resize(data, operation.size, only_grows=operation.only_grows)


def _split(operation: Put | Resize) -> Iterator[Put | Resize]:
    """Divide a write at the borders of blocks."""
    if isinstance(operation, Resize):
        yield operation
        return
    offset, data = operation.offset, operation.data
    while data:
        room = BLOCK_BYTES - offset % BLOCK_BYTES
        yield Put(operation.inode, offset, data[:room])
        offset, data = offset + room, data[room:]


def _sizes(before: int, after: int) -> list[int]:
    """Where a file that grew may end: at a block's end, in a block, or one byte short."""
    if after <= before:
        return []
    blocks = range(before // BLOCK_BYTES + 1, after // BLOCK_BYTES + 1)
    ends = [block * BLOCK_BYTES for block in blocks][:16]
    return sorted({before, *ends, (before + after) // 2, after - 1, after})


def _subsets(items: Sequence[int], most: int, chance: random.Random) -> Iterator[tuple[int, ...]]:
    """All subsets, or beyond `most`: prefixes, all but one, one alone, and a sample of others."""
    count = len(items)
    if 1 << min(count, 40) <= most:
        yield from chain.from_iterable(combinations(items, size) for size in range(count + 1))
        return
    whole = tuple(items)
    chosen = [(), whole]
    chosen += [whole[:end] for end in range(1, count)]
    chosen += [whole[:index] + whole[index + 1 :] for index in range(count)]
    chosen += [(item,) for item in whole]
    chosen = chance.sample(chosen, most) if len(chosen) > 2 * most else chosen
    chosen += [tuple(one for one in whole if chance.random() < 0.5) for _ in range(most // 2)]
    yield from dict.fromkeys(chosen)


def _choose(
    choices: dict[int, list[bytes]], most: int, chance: random.Random
) -> Iterator[dict[int, bytes]]:
    """One content for each file: all combinations, or a part of them beyond `most`.

    The part is each content once beside the first contents of the other files, once beside their
    last, and a sample.
    """
    total = 1
    for kinds in choices.values():
        total *= len(kinds)
    if total <= most:
        picked: list[dict[int, bytes]] = [{}]
        for inode, kinds in choices.items():
            picked = [{**one, inode: data} for one in picked for data in kinds]
        yield from picked
        return
    last = {inode: kinds[-1] for inode, kinds in choices.items()}
    first = {inode: kinds[0] for inode, kinds in choices.items()}
    for base in (first, last):
        for inode, kinds in choices.items():
            for data in kinds:
                yield {**base, inode: data}
    for _ in range(most):
        yield {inode: chance.choice(kinds) for inode, kinds in choices.items()}

"""File operations as a power cut affects them: on inodes, so that each can be lost alone."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = 0


@dataclass(frozen=True, slots=True)
class Enter:
    """A name appears in a directory (created, linked, or renamed to); its old meaning is gone."""

    folder: int
    name: str
    inode: int


@dataclass(frozen=True, slots=True)
class Leave:
    """A name disappears from a directory. `after`: the index of the Enter of the same rename."""

    folder: int
    name: str
    inode: int
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Swap:
    """Two names exchange their inodes (renameat2(2)), both at once or not at all."""

    folder: int
    name: str
    other_folder: int
    other_name: str
    inode: int
    other_inode: int


@dataclass(frozen=True, slots=True)
class Put:
    """Bytes are written into a file."""

    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """A file gets a size (truncated, or allocated: `only_grows`)."""

    inode: int
    size: int
    only_grows: bool = False


@dataclass(frozen=True, slots=True)
class Sync:
    """All operations on an inode before the index `covers` are on the disk from here on."""

    inode: int
    covers: int


@dataclass(frozen=True, slots=True)
class Mark:
    """The writer's word to its caller: from here on its promises hold."""

    text: str


Operation = Enter | Leave | Swap | Put | Resize | Sync | Mark
Tree = dict[str, bytes | None]
"""Files by their path relative to the root; a directory is None."""


@dataclass
class Inode:
    """A file's bytes or a directory's entries, as the running system sees them."""

    entries: dict[str, int] | None = None
    data: bytearray = field(default_factory=bytearray)

    @property
    def is_folder(self) -> bool:
        """Whether it is a directory."""
        return self.entries is not None


@dataclass
class Recording:
    """The durable state before, and all operations on it, in order.

    `folders` holds the inodes of directories; `names` has the last name of each inode.
    """

    initial: dict[int, Inode]
    operations: list[Operation]
    folders: frozenset[int]
    names: dict[int, str]

    def without(self, *indices: int) -> "Recording":
        """The same recording without these Syncs."""
        gone = set(indices)
        assert all(isinstance(self.operations[index], Sync) for index in gone)
        # An empty Mark replaces each Sync, because operations refer to indices.
        kept = [
            Mark("") if index in gone else operation
            for index, operation in enumerate(self.operations)
        ]
        return replace(self, operations=kept)

    def renamed_early(self, name: str) -> "Recording":
        """The same recording with the rename to `name` done before the first flush."""
        operations = list(self.operations)
        at = next(
            index
            for index, one in enumerate(operations)
            if isinstance(one, Enter) and one.name == name and self._is_linked(one.inode, index)
        )
        pair = operations[at : at + 2]
        del operations[at : at + 2]
        first = next(index for index, one in enumerate(operations) if isinstance(one, Sync))
        operations[first:first] = pair
        for index, one in enumerate(operations):
            if isinstance(one, Leave) and one.after is not None:
                operations[index] = replace(one, after=index - 1)
            elif isinstance(one, Sync):
                operations[index] = replace(one, covers=index)
        return replace(self, operations=operations)

    def _is_linked(self, inode: int, before: int) -> bool:
        earlier = self.operations[:before]
        return any(isinstance(one, Enter) and one.inode == inode for one in earlier)


def read_tree(path: Path) -> Tree:
    """The tree on a real disk under a directory."""
    found: Tree = {}
    for folder, names, files in os.walk(path):
        base = Path(folder).relative_to(path)
        found.update({(base / name).as_posix(): None for name in names})
        found.update(
            {(base / name).as_posix(): (Path(folder) / name).read_bytes() for name in files}
        )
    return found


def plant(tree: Tree) -> tuple[dict[int, Inode], Iterator[int]]:
    """Inodes for a tree, with ROOT for its root; and numbers for further inodes."""
    inodes = {ROOT: Inode(entries={})}
    numbers = iter(range(1, 1 << 30))
    places = {"": ROOT}
    for path, data in sorted(tree.items()):
        parent, _, name = path.rpartition("/")
        number = next(numbers)
        inodes[number] = Inode({}) if data is None else Inode(None, bytearray(data))
        entries = inodes[places[parent]].entries
        assert entries is not None
        entries[name] = number
        if data is None:
            places[path] = number
    return inodes, numbers


def lay_out(folders: dict[int, dict[str, int]], files: dict[int, bytes]) -> Tree:
    """The tree that directories and contents make."""
    tree: Tree = {}
    pending = [("", ROOT, 0)]
    while pending:
        prefix, number, depth = pending.pop()
        for name, inode in folders[number].items():
            if inode in folders:
                tree[prefix + name] = None
                if depth < 32:  # a lost rename can leave a directory inside itself
                    pending.append((f"{prefix}{name}/", inode, depth + 1))
            else:
                tree[prefix + name] = files[inode]
    return tree


def apply_put(data: bytearray, offset: int, new: bytes) -> None:
    """Write into a file's bytes; a gap before the place is zeros."""
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(new)] = new


def apply_resize(data: bytearray, size: int, *, only_grows: bool) -> None:
    """Cut a file's bytes, or extend them with zeros."""
    if len(data) < size:
        data.extend(bytes(size - len(data)))
    elif not only_grows:
        del data[size:]

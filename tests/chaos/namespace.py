"""The names below a watched directory, as a writer's calls change them; not the files' bytes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.operations import ROOT, Enter, Inode, Leave, Operation, Swap
from tests.chaos.strace_log import Call, descriptor, unquote


class UnmodelledError(Exception):
    """The writer did something to the watched directory that the model does not cover."""


@dataclass
class OpenFile:
    """An open file below the root; without an inode, an open file elsewhere at `path`."""

    inode: int | None
    path: str
    offset: int = 0
    appends: bool = False
    since: int = 0
    """The log's line of the call that opened it."""


class Namespace(ABC):
    """A model of the directory; each change of a name is an operation."""

    def __init__(self, root: str, inodes: dict[int, Inode], numbers: Iterator[int]) -> None:
        """`root`: its path, which ends in a slash."""
        self.operations: list[Operation] = []
        self.names: dict[int, str] = {ROOT: "."}
        self._root = root
        self._inodes = inodes
        self._numbers = numbers
        self._open: dict[int, OpenFile] = {}
        self._name_all(ROOT, "")

    def _name_all(self, number: int, prefix: str) -> None:
        for name, inode in (self._inodes[number].entries or {}).items():
            self.names[inode] = prefix + name
            if self._inodes[inode].is_folder:
                self._name_all(inode, f"{prefix}{name}/")

    def _resolve(self, word: str | None, text: str) -> tuple[int, str] | None:
        """The directory's inode and the name that a path means; None for a path elsewhere."""
        path = unquote(text).decode(errors="surrogateescape")
        if not path.startswith("/"):
            base = descriptor(word)[1] if word is not None else None
            if base is None:
                raise UnmodelledError(f"a relative path without its directory: {path}")
            path = f"{base}/{path}"
        if f"{path}/" == self._root:
            return ROOT, ""
        if not path.startswith(self._root):
            return None
        number = ROOT
        *folders, name = [part for part in path[len(self._root) :].split("/") if part != "."]
        for folder in folders:
            number = self._entries(number)[folder]
        return number, name

    def _entries(self, number: int) -> dict[str, int]:
        entries = self._inodes[number].entries
        if entries is None:
            raise UnmodelledError(f"{self.names[number]} is no directory")
        return entries

    def _enter(self, place: tuple[int, str], inode: int) -> None:
        folder, name = place
        self.operations.append(Enter(folder, name, inode))
        self._entries(folder)[name] = inode
        prefix = self.names[folder]
        self.names[inode] = name if prefix == "." else f"{prefix}/{name}"

    def _leave(self, place: tuple[int, str], after: int | None = None) -> None:
        folder, name = place
        inode = self._entries(folder).pop(name)
        self.operations.append(Leave(folder, name, inode, after))

    def _openat(self, call: Call) -> None:
        word = call.arguments[0] if call.name == "openat" else None
        text, flags = call.arguments[1:3] if word else (*call.arguments, "O_CREAT|O_TRUNC")[:2]
        place = self._resolve(word, text)
        path = unquote(text).decode(errors="surrogateescape")
        if place is None:
            self._open[call.result] = OpenFile(None, path, since=call.ended)
            return
        folder, name = place
        inode = ROOT if not name else self._entries(folder).get(name)
        if inode is None:
            inode = next(self._numbers)
            self._inodes[inode] = Inode()
            self._enter(place, inode)
        elif "O_TRUNC" in flags and self._inodes[inode].data:
            self._resize(inode, 0)
        self._open[call.result] = OpenFile(inode, path, 0, "O_APPEND" in flags, call.ended)

    def _mkdir(self, call: Call) -> None:
        word = call.arguments[0] if call.name == "mkdirat" else None
        place = self._resolve(word, call.arguments[1 if word else 0])
        if place is not None:
            inode = next(self._numbers)
            self._inodes[inode] = Inode(entries={})
            self._enter(place, inode)

    def _unlink(self, call: Call) -> None:
        word = call.arguments[0] if call.name == "unlinkat" else None
        place = self._resolve(word, call.arguments[1 if word else 0])
        if place is not None:
            self._leave(place)

    def _rename(self, call: Call) -> None:
        if call.name == "rename":
            source, target = (self._resolve(None, word) for word in call.arguments)
        else:
            source = self._resolve(*call.arguments[0:2])
            target = self._resolve(*call.arguments[2:4])
        if source is None and target is None:
            return
        if source is None or target is None:
            raise UnmodelledError("a rename into or out of the watched directory")
        inode = self._entries(source[0])[source[1]]
        if "RENAME_EXCHANGE" in call.arguments[-1]:
            other = self._entries(target[0])[target[1]]
            self.operations.append(Swap(*source, *target, inode, other))
            self._entries(source[0])[source[1]] = other
            self._entries(target[0])[target[1]] = inode
            return
        self._enter(target, inode)
        self._leave(source, len(self.operations) - 1)

    @abstractmethod
    def _resize(self, inode: int, size: int) -> None:
        """Note the new size of a file."""

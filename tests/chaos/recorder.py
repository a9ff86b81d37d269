"""Runs a writer under strace and turns its calls below a directory into operations on inodes."""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.chaos.namespace import Namespace, OpenFile, UnmodelledError
from tests.chaos.operations import (
    ROOT,
    Inode,
    Mark,
    Put,
    Recording,
    Resize,
    Sync,
    apply_put,
    apply_resize,
    plant,
    read_tree,
)
from tests.chaos.strace_log import Call, command, descriptor, read_calls, unquote

_IOV = re.compile(r'iov_base=("[^"]*")')


def record(
    root: Path, program: Sequence[str], *, scratch: Path, environment: Mapping[str, str]
) -> Recording:
    """Run `program` to its end and record what it does below `root`.

    The content of `root` before counts as durable. Raises RuntimeError if the program fails, and
    UnmodelledError.
    """
    root = root.resolve()
    inodes, numbers = plant(read_tree(root))
    log = scratch / "strace.log"
    done = subprocess.run(
        [*command(log), *program], env=dict(environment), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr[-3000:]}")
    initial = {
        number: Inode(None if one.entries is None else dict(one.entries), bytearray(one.data))
        for number, one in inodes.items()
    }
    translator = _Translator(root, inodes, numbers)
    for call in read_calls(log):
        translator.take(call)
    translator.check(read_tree(root))
    return Recording(
        initial,
        translator.operations,
        frozenset(number for number, one in inodes.items() if one.is_folder),
        translator.names,
    )


class _Translator(Namespace):
    """Follows the calls on a model of the directory, and notes each effect."""

    def __init__(self, root: Path, inodes: dict[int, Inode], numbers: Iterator[int]) -> None:
        super().__init__(f"{root}/", inodes, numbers)
        # how many operations had completed when the log's line of that number was written
        self._completed: list[tuple[int, int]] = []

    def take(self, call: Call) -> None:
        """Note the effect of one call."""
        if call.result < 0:
            return  # It had no effect. After a failed fsync nothing is known.
        before = len(self.operations)
        handler = getattr(self, f"_{_ALIASES.get(call.name, call.name)}", None)
        if handler is None:
            self._refuse_if_inside(call)
        else:
            handler(call)
        if len(self.operations) != before:
            self._completed.append((call.ended, len(self.operations)))

    def check(self, real: Mapping[str, bytes | None]) -> None:
        """Raise UnmodelledError if the model differs from the disk: then a call was missed."""
        model: dict[str, bytes | None] = {}
        pending = [("", ROOT)]
        while pending:
            prefix, number = pending.pop()
            for name, inode in (self._inodes[number].entries or {}).items():
                one = self._inodes[inode]
                model[prefix + name] = None if one.is_folder else bytes(one.data)
                if one.is_folder:
                    pending.append((f"{prefix}{name}/", inode))
        if model != real:
            wrong = [path for path in {*model, *real} if model.get(path, 0) != real.get(path, 0)]
            raise UnmodelledError(f"the model and the disk differ in {sorted(wrong)}")

    def _close(self, call: Call) -> None:
        number = _number(call.arguments[0])
        # Another thread may have got the number before the log had the line of this close.
        if number in self._open and self._open[number].since < call.began:
            del self._open[number]

    def _dup(self, call: Call) -> None:
        one = self._open.get(_number(call.arguments[0]))
        if one is not None:
            self._open[call.result] = one  # both descriptors share one offset, as in the kernel

    def _lseek(self, call: Call) -> None:
        one = self._open.get(_number(call.arguments[0]))
        if one is not None:
            one.offset = call.result

    def _write(self, call: Call) -> None:
        number = _number(call.arguments[0])
        one = self._open.get(number)
        if one is None and number == 1:
            self.operations.append(Mark(unquote(call.arguments[1]).decode()))
        elif one is not None:
            self._put_here(one, unquote(call.arguments[1])[: call.result])

    def _writev(self, call: Call) -> None:
        one = self._open.get(_number(call.arguments[0]))
        if one is not None and one.inode is not None:
            data = b"".join(unquote(text) for text in _IOV.findall(call.arguments[1]))
            self._put_here(one, data[: call.result])

    def _pwrite64(self, call: Call) -> None:
        one = self._open.get(_number(call.arguments[0]))
        if one is not None and one.inode is not None:
            data = unquote(call.arguments[1])[: call.result]
            self._put(one.inode, int(call.arguments[3]), data)

    def _pwritev(self, call: Call) -> None:
        one = self._open.get(_number(call.arguments[0]))
        if one is not None and one.inode is not None:
            data = b"".join(unquote(text) for text in _IOV.findall(call.arguments[1]))
            self._put(one.inode, int(call.arguments[3]), data[: call.result])

    def _sendfile(self, call: Call) -> None:
        out, source, place = call.arguments[:3]
        self._copy(source, place, out, "NULL", call.result)

    def _copy_file_range(self, call: Call) -> None:
        source, place, out, out_place = call.arguments[:4]
        self._copy(source, place, out, out_place, call.result)

    def _copy(self, source: str, place: str, out: str, out_place: str, count: int) -> None:
        reader, writer = self._open.get(_number(source)), self._open.get(_number(out))
        if writer is None or writer.inode is None or count == 0:
            return
        if reader is None:
            raise UnmodelledError("a copy from a file that was not opened here")
        given = re.match(r"\[(\d+)\]", place)
        offset = reader.offset if given is None else int(given[1])
        if reader.inode is not None:
            data = bytes(self._inodes[reader.inode].data[offset : offset + count])
        else:  # A file elsewhere, which the writer must not have changed since.
            with open(reader.path, "rb") as file:
                file.seek(offset)
                data = file.read(count)
        if given is None:
            reader.offset += count
        wanted = re.match(r"\[(\d+)\]", out_place)
        if wanted is None:
            self._put_here(writer, data)
        else:
            self._put(writer.inode, int(wanted[1]), data)

    def _put_here(self, one: OpenFile, data: bytes) -> None:
        if one.inode is None:
            return
        if one.appends:
            one.offset = len(self._inodes[one.inode].data)
        self._put(one.inode, one.offset, data)
        one.offset += len(data)

    def _put(self, inode: int, offset: int, data: bytes) -> None:
        if data:
            self.operations.append(Put(inode, offset, data))
            apply_put(self._inodes[inode].data, offset, data)

    def _ftruncate(self, call: Call) -> None:
        one = self._open.get(_number(call.arguments[0]))
        if one is not None and one.inode is not None:
            self._resize(one.inode, int(call.arguments[1]))

    def _fallocate(self, call: Call) -> None:
        one = self._open.get(_number(call.arguments[0]))
        if one is None or one.inode is None:
            return
        mode, offset, length = call.arguments[1:4]
        if mode != "0":
            raise UnmodelledError(f"fallocate with mode {mode}")
        self._resize(one.inode, int(offset) + int(length), only_grows=True)

    def _resize(self, inode: int, size: int, *, only_grows: bool = False) -> None:
        self.operations.append(Resize(inode, size, only_grows))
        apply_resize(self._inodes[inode].data, size, only_grows=only_grows)

    def _fsync(self, call: Call) -> None:
        one = self._open.get(_number(call.arguments[0]))
        if one is not None and one.inode is not None:
            # An fsync need not cover what other threads did while it ran.
            covers = max((count for line, count in self._completed if line < call.began), default=0)
            self.operations.append(Sync(one.inode, covers))

    def _mmap(self, call: Call) -> None:
        is_shared = "MAP_SHARED" in call.arguments[3] and "PROT_WRITE" in call.arguments[2]
        one = self._open.get(_number(call.arguments[4])) if is_shared else None
        if one is not None and one.inode is not None:
            raise UnmodelledError(f"a writable mapping of {self.names[one.inode]}")

    def _sync_file_range(self, call: Call) -> None:
        """Note nothing: it promises nothing after a power cut (sync_file_range(2), "Warning")."""

    def _refuse_if_inside(self, call: Call) -> None:
        text = " ".join(call.arguments).replace("\\x", "")
        if self._root[:-1].encode().hex() in text:
            raise UnmodelledError(f"{call.name}({', '.join(call.arguments)[:200]})")


# fdatasync also makes the size durable if the data need it (fdatasync(2)); no more is needed here.
_ALIASES = {
    "open": "openat",
    "creat": "openat",
    "mkdirat": "mkdir",
    "unlinkat": "unlink",
    "rmdir": "unlink",
    "renameat": "rename",
    "renameat2": "rename",
    "fdatasync": "fsync",
    "dup2": "dup",
    "dup3": "dup",
    "pwritev2": "pwritev",
}


def _number(word: str) -> int:
    number = descriptor(word)[0] if not word.startswith("-") else None
    return -1 if number is None else number

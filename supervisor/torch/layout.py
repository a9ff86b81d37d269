"""Where everything of one state lies in its .pt file, found once; then only bytes are moved.

A layout is good for all states of the same shape. It holds no tensor and reads no tensor's content.
"""

import errno
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from supervisor.checkpoint.proofs.zip_archive import DamagedError, read_records
from supervisor.system.private_directory import make_below
from supervisor.torch.binding import Binding, StoragePlace, raw_bytes
from supervisor.torch.pickling import PROTOCOL, Pickled, pickle_only, write_without_data
from supervisor.torch.structure import MismatchError, Shape, UnknownError, copy_with

_FLOAT = struct.Struct(">d")
_MARK_BYTES = 9


class StateContents(NamedTuple):
    """A state as it is to be copied: what data.pkl must say, and where each storage's bytes are.

    `sources` has one tensor for each place that is not empty: the storage's own bytes
    (`raw_bytes`), or a tensor that covers the whole storage.
    """

    pickle: bytes
    sources: list[Tensor]


class Layout:
    """The layout of one file; `build` makes one."""

    def __init__(
        self,
        name: str,
        size: int,
        frame: list[tuple[int, bytes]],
        pickle_at: int,
        capacity: int,
        places: list[StoragePlace],
        binding: Binding | None,
        text: "_Text | None",
        weights: list[tuple[str, int, int]],
    ) -> None:
        self.name = name
        self.size = size
        self.frame = frame
        self.pickle_at = pickle_at
        self.capacity = capacity
        self.places = [place for place in places if place.bytes]
        self.binding = binding
        self.weights = weights
        self._text = text

    @property
    def is_on_gpu(self) -> bool:
        """Whether a CUDA device copies into it."""
        return self.binding is not None and self.binding.is_on_gpu

    def take(self, content: Any) -> StateContents:
        """Find the storages and the pickle of the present state. Raises MismatchError."""
        if self.binding is None or self._text is None:
            return self._take_unknown(content)
        leaves = self.binding.match(content)
        return StateContents(
            self._fitting(self._text.of(leaves.values)), self.binding.sources(leaves)
        )

    def views(self, memory: Tensor) -> list[Tensor]:
        """A tensor on the file's memory (uint8) for each of `StateContents.sources`."""
        raw = [memory[place.offset : place.offset + place.bytes] for place in self.places]
        return raw if self.binding is None else self.binding.views(raw)

    def _take_unknown(self, content: Any) -> StateContents:
        pickled = pickle_only(content)
        storages = [one for one in pickled.storages.values() if one.nbytes()]
        if [one.nbytes() for one in storages] != [place.bytes for place in self.places]:
            raise MismatchError
        return StateContents(self._fitting(pickled.data), [raw_bytes(one) for one in storages])

    def _fitting(self, data: bytes) -> bytes:
        if len(data) > self.capacity:
            raise MismatchError
        return data


def build(name: str, content: Any, scratch: Path, is_weight: Callable[[Tensor], bool]) -> Layout:
    """Lay a state out; `scratch` is made, a directory on the tmpfs, where holes cost nothing.

    `content` must not change meanwhile. `is_weight` says which tensors have to be finite. Raises
    OSError, and what torch.save raises.
    """
    path = scratch / name
    make_below(scratch.parent, path.parent)
    binding: Binding | None = None
    text: _Text | None = None
    try:
        try:
            shape = Shape(content)
            values = shape.match(content).values
            marks = list(_marks(len(values)))
            # a long text takes more bytes than the mark that stands for it
            more = sum(max(len(encode(value)) - _MARK_BYTES, 0) for value in values)
            marked = copy_with(content, iter(marks))
            pickled, capacity = write_without_data(
                marked, path, lambda length: _capacity(length + more)
            )
            text = _Text(pickled.data, marks)
            binding = Binding(shape, content, list(pickled.storages.values()))
        except UnknownError:
            text = None
            pickled, capacity = write_without_data(content, path, _capacity)
        places, size, frame, pickle_at = _read_back(path, pickled)
        weights = [] if binding is None else binding.weights(content, is_weight, places)
        return Layout(name, size, frame, pickle_at, capacity, places, binding, text, weights)
    except (RuntimeError, DamagedError) as error:
        # torch's zip writer does not say that the file was at fault. It was, if the state can be
        # pickled.
        pickle_only(content)
        free = os.statvfs(path.parent)
        is_full = free.f_bavail * free.f_frsize < 1 << 20
        code = errno.ENOSPC if is_full else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error
    finally:
        path.unlink(missing_ok=True)


def _capacity(length: int) -> int:
    """Room for values that get longer: counters, mostly."""
    return length + length // 16 + 256


def _read_back(
    path: Path, pickled: Pickled
) -> tuple[list[StoragePlace], int, list[tuple[int, bytes]], int]:
    """The storages' places, the file's size, all bytes outside the places, and the pickle's offset.

    Raises DamagedError for a file that is not what was written: a layout is used for many states.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        # Not torch's own reader: after a read that failed it returns wrong places.
        records = {one.name.partition(b"/")[2]: one for one in read_records(fd, size)}
        pickle = records.get(b"data.pkl")
        places = []
        for key, storage in pickled.storages.items():
            record = records.get(b"data/" + key.encode())
            if record is None or record.size != storage.nbytes():
                raise DamagedError(f"has no storage {key} of {storage.nbytes()} bytes")
            places.append(StoragePlace(record.start, record.size))
        if pickle is None or os.pread(fd, len(pickled.data), pickle.start) != pickled.data:
            raise DamagedError("does not have the pickle that was written")
        # read, not mapped: a read of a mapping would allocate the holes
        frame = [(begin, os.pread(fd, end - begin, begin)) for begin, end in _gaps(places, size)]
    finally:
        os.close(fd)
    return places, size, frame, pickle.start


def _gaps(places: list[StoragePlace], size: int) -> Iterator[tuple[int, int]]:
    """The ranges of a file that belong to no storage."""
    position = 0
    for place in sorted(places):
        if place.offset > position:
            yield position, place.offset
        position = place.offset + place.bytes
    yield position, size


def _marks(count: int) -> Iterator[float]:
    """Numbers that stand for the plain values in a pickle, and are found again in its bytes."""
    noise = os.urandom(7 * count)
    for index in range(count):
        yield _FLOAT.unpack(b"\x43" + noise[7 * index : 7 * index + 7])[0]


class _Text:
    """A pickle in parts: those that never change, and a plain value between each two of them."""

    def __init__(self, data: bytes, marks: Sequence[float]) -> None:
        """Find the marks in a pickle. Raises UnknownError if one is not there."""
        self._parts: list[bytes] = []
        position = 0
        for mark in marks:
            needle = b"G" + _FLOAT.pack(mark)
            found = data.find(needle, position)
            if found < 0:
                raise UnknownError("a value that is not pickled where it is met")
            self._parts += (data[position:found], b"")
            position = found + len(needle)
        self._parts.append(data[position:])
        self._values: list[Any] = [object()] * len(marks)
        self._data = b""

    def of(self, values: list[Any]) -> bytes:
        """The pickle with these values."""
        is_changed = not self._data
        for index, value in enumerate(values):
            if value is not self._values[index]:
                encoded = encode(value)
                if encoded != self._parts[2 * index + 1]:
                    self._parts[2 * index + 1] = encoded
                    is_changed = True
        self._values = values
        if is_changed:
            self._data = b"".join(self._parts)
        return self._data


def encode(value: Any) -> bytes:
    """A plain value as it stands in a pickle of protocol 2 (pickletools.opcodes)."""
    return _ENCODERS[type(value)](value)


def _encode_int(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + value.to_bytes(1, "little")
    if -(2**31) <= value < 2**31:
        return b"J" + value.to_bytes(4, "little", signed=True)
    length = value.bit_length() // 8 + 1
    if length < 256:
        return (
            b"\x8a" + length.to_bytes(1, "little") + value.to_bytes(length, "little", signed=True)
        )
    return b"\x8b" + length.to_bytes(4, "little") + value.to_bytes(length, "little", signed=True)


def _encode_str(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + len(data).to_bytes(4, "little") + data


assert PROTOCOL == 2
_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    bool: lambda value: b"\x88" if value else b"\x89",
    int: _encode_int,
    float: lambda value: b"G" + _FLOAT.pack(value),
    str: _encode_str,
    type(None): lambda _: b"N",
}

"""What can be known of another tool's file without unpickling it; constant memory, any input."""

import os
import struct
from itertools import islice
from typing import Any, BinaryIO, Protocol

from supervisor.checkpoint.archive import DamagedError, ZipCheck
from supervisor.checkpoint.bounded_json import TooLargeError, parse, whole

__all__ = ["Check", "DamagedError", "inspect", "is_payload"]

# What torch, DCP (`.metadata` and `.distcp`), numpy and safetensors write.
_PICKLED = (".pt", ".pth", ".ckpt", ".pkl")
_DATA = (*_PICKLED, ".bin", ".safetensors", ".distcp", ".metadata", ".npz")
_MOST_JSON_BYTES = 32 << 20
_MOST_HEADER_BYTES = 100_000_000  # the limit of the safetensors library
_MOST_PARSED_HEADER_BYTES = 32 << 20
_MOST_PICKLE_READ_BYTES = 16 << 20
_MOST_PICKLE_LINE_BYTES = 1 << 20
_MOST_PICKLE_OPCODES = 2_000_000
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PICKLES = 5  # magic, protocol, system, object, storage keys; then the raw storages
_ZIP_MAGIC = (b"PK\3\4", b"PK\5\6")
_ITEM_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
}


class Check(Protocol):
    """What looks at a file as it streams by. `is_proof`: damage to its structure would show."""

    is_proof: bool

    def feed(self, chunk: memoryview) -> None:
        """Take the next bytes of the file. Raises DamagedError."""

    def finish(self) -> None:
        """Say that the file has ended. Raises DamagedError."""


class SeenAtOnce:
    """A file whose structure was checked, as far as it can be, before its bytes stream by."""

    def __init__(self, *, is_proof: bool) -> None:
        self.is_proof = is_proof

    def feed(self, chunk: memoryview) -> None:
        """Nothing is left to check."""

    def finish(self) -> None:
        """Nothing is left to check."""


def is_payload(name: str) -> bool:
    """Whether a file holds state (weights, optimizer, progress), not a tokenizer or a readme."""
    return name.endswith(_DATA)


def inspect(fd: int, name: str, size: int) -> Check:
    """The check that fits a file's content and name. Raises DamagedError, OSError."""
    head = os.pread(fd, 4096, 0)
    if is_payload(name) and not head:
        raise DamagedError("is empty")
    if name.endswith(".json"):
        return _check_json(fd, size)
    if name.endswith(".safetensors"):
        return _check_safetensors(fd, size)
    if head.startswith(_ZIP_MAGIC) and not name.endswith(".distcp"):
        return ZipCheck(fd, size)
    if name.endswith((*_PICKLED, ".bin", ".metadata")) and head[:1] == b"\x80":
        return _check_pickle(fd, size)
    if name.endswith((*_PICKLED, ".npz", ".metadata")):
        raise DamagedError("is neither a zip archive nor a pickle")
    if is_payload(name) and not any(head):
        raise DamagedError("begins with zeros: its data never reached the disk")
    return SeenAtOnce(is_proof=not is_payload(name))


def _check_json(fd: int, size: int) -> Check:
    if size > _MOST_JSON_BYTES:
        return SeenAtOnce(is_proof=False)
    try:
        parse(_read(fd, size, 0))
    except TooLargeError:
        return SeenAtOnce(is_proof=False)
    except DamagedError:
        raise
    except ValueError as error:
        raise DamagedError("is not JSON") from error
    return SeenAtOnce(is_proof=True)


def _check_safetensors(fd: int, size: int) -> Check:
    """Header length, header, and that the tensors fill the file without a gap.

    https://github.com/huggingface/safetensors#format
    """
    raw = os.pread(fd, 8, 0)
    length = int.from_bytes(raw, "little")
    if len(raw) < 8 or length > min(size - 8, _MOST_HEADER_BYTES):
        raise DamagedError("is cut short: it ends within its header")
    if length > _MOST_PARSED_HEADER_BYTES:
        return SeenAtOnce(is_proof=False)
    try:
        header: dict[str, Any] = parse(_read(fd, length, 8))
        spans = []
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            begin, end = map(whole, tensor["data_offsets"])
            bits = _tensor_bits(tensor["dtype"], tensor["shape"])
            if begin > end or (bits is not None and bits != 8 * (end - begin)):
                raise DamagedError("has a tensor of an impossible size")
            spans.append((begin, end))
    except TooLargeError:
        return SeenAtOnce(is_proof=False)
    except DamagedError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError("has a damaged header") from error
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise DamagedError("has tensors that overlap or leave a gap")
        position = end
    if position != size - 8 - length:
        raise DamagedError(f"has {size - 8 - length} bytes of tensors, not {position}")
    return SeenAtOnce(is_proof=True)


def _tensor_bits(dtype: str, shape: list[object]) -> int | None:
    """The size of a tensor in bits; None for a dtype that is not known here. Raises ValueError."""
    extents = [whole(extent) for extent in shape]
    bits = _ITEM_BITS.get(dtype)
    if bits is None or 0 in extents:
        return None if bits is None else 0
    for extent in extents:
        bits *= extent
        if bits >> 70:  # no file is so large; millions of extents would make a number without end
            raise DamagedError("has a tensor of an impossible size")
    return bits


class _TooLargeError(Exception):
    """A pickle that cannot be followed in the memory and time allowed."""


class _Bounded:
    """A file as pickletools reads it, in which no single read may be huge."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def read(self, count: int) -> bytes:
        """At most `count` bytes. Raises _TooLargeError, ValueError beyond the end."""
        if count > self._size - self._file.tell():
            raise ValueError("cut short")
        if count > _MOST_PICKLE_READ_BYTES:
            raise _TooLargeError
        return self._file.read(count)

    def readline(self) -> bytes:
        """A whole line. Raises ValueError for one that no pickler writes."""
        line = self._file.readline(_MOST_PICKLE_LINE_BYTES)
        if len(line) == _MOST_PICKLE_LINE_BYTES:
            raise ValueError("a line without an end")
        return line


def _check_pickle(fd: int, size: int) -> Check:
    """Follow the opcodes to STOP without doing what they say; raw storages behind stay unproven."""
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", closefd=False) as file:
        stream: Any = _Bounded(file, size)
        try:
            if _TORCH_MAGIC in _follow(stream):
                for _ in range(_LEGACY_PICKLES - 1):
                    _follow(stream)
        except _TooLargeError:
            return SeenAtOnce(is_proof=False)
        except (ValueError, struct.error, OverflowError, IndexError, RecursionError) as error:
            raise DamagedError("is a pickle that is cut short or damaged") from error
    return SeenAtOnce(is_proof=False)


def _follow(stream: Any) -> list[object]:
    """One pickle, to its STOP; its first arguments. Raises ValueError, _TooLargeError."""
    import pickletools  # 3 ms that few checkpoints need
    import warnings

    with warnings.catch_warnings():
        # Of an escape sequence in a protocol 0 string: it is nobody's program that is read here.
        warnings.simplefilter("ignore")
        opcodes = pickletools.genops(stream)
        first = [argument for _, argument, _ in islice(opcodes, 3)]
        for count, _ in enumerate(opcodes):
            if count > _MOST_PICKLE_OPCODES:
                raise _TooLargeError
    return first


def _read(fd: int, size: int, offset: int) -> bytes:
    data = os.pread(fd, size, offset)
    if len(data) != size:
        raise DamagedError("is cut short")
    return data

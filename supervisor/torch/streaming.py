"""Saving straight to the disk, for a state that memory has no room for: training waits.

torch writes each storage to the file in turn, so there is never a second copy of the whole state.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
import xxhash
from torch import Tensor

from supervisor.checkpoint.commit import CheckpointWriter
from supervisor.checkpoint.format import FileRecord
from supervisor.memory.persist import sync_file, writer_for
from supervisor.memory.seal import Snapshot
from supervisor.torch.outcome import Saved
from supervisor.torch.preparation import WeightTest


def save_directly(
    snapshot: Snapshot,
    contents: Mapping[str, Any],
    small: Mapping[str, bytes],
    weight_test: WeightTest,
) -> Saved:
    """Write and commit the present state. Raises what torch.save raises for such a state."""
    began = time.monotonic()
    path = Path(snapshot.directory) / snapshot.name
    size = 0
    try:
        with writer_for(snapshot) as writer:
            for name, content in contents.items():
                size += _write(writer, name, partial(_save, content))
            for name, data in small.items():
                size += _write(writer, name, partial(_put, data))
            writer.finite = _is_finite(contents, weight_test)
            for name in snapshot.before:
                sync_file(Path(name))
            path = writer.commit()
    except OSError as error:
        return Saved("failed", snapshot.step, path, _told(error))
    took_s = time.monotonic() - began
    return Saved("saved", snapshot.step, path, None, size, took_s, writer.finite)


class _HashedFile:
    """A file that is hashed as it is written, and remembers the first error of its disk.

    torch's zip writer raises RuntimeError("unexpected pos …") on its way out, which hides ENOSPC.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = xxhash.xxh3_128()
        self._size = 0
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it, and remember the first failure."""
        try:
            count = self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise
        self._hash.update(data)
        self._size += count
        return count

    def flush(self) -> None:
        """Flush, and remember the first failure."""
        try:
            self._file.flush()
        except OSError as error:
            self.error = self.error or error
            raise

    @property
    def record(self) -> FileRecord:
        """What was written."""
        return FileRecord(self._size, self._hash.hexdigest())


def _write(writer: CheckpointWriter, name: str, write: Callable[[_HashedFile], object]) -> int:
    """Write one file of the checkpoint, and return its size."""
    hashed: _HashedFile | None = None
    try:
        with writer.open(name) as file:
            hashed = _HashedFile(file)
            write(hashed)
            record = hashed.record
    except RuntimeError:
        if hashed is not None and hashed.error is not None:
            raise hashed.error from None
        raise
    writer.vouch(name, record)
    return record.size


def _save(content: Any, file: _HashedFile) -> None:
    torch.save(content, file)  # type: ignore[arg-type]  # it needs write and flush


def _put(data: bytes, file: _HashedFile) -> None:
    file.write(data)


def _is_finite(contents: Mapping[str, Any], weight_test: WeightTest) -> bool | None:
    """Whether all weights are finite; None if there are none."""
    found: list[Tensor] = []
    for name, content in contents.items():
        is_weight = weight_test(name)
        for tensor in _tensors(content):
            if (tensor.is_floating_point() or tensor.is_complex()) and is_weight(tensor):
                found.append(_all_finite(tensor))
    return bool(torch.stack([one.cpu() for one in found]).all()) if found else None


def _all_finite(tensor: Tensor) -> Tensor:
    # the 8-bit formats have no isfinite of their own
    whole = tensor.float() if tensor.element_size() == 1 else tensor
    return whole.detach().isfinite().all()


def _tensors(content: Any) -> Iterable[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _tensors(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _tensors(value)


def _told(error: OSError) -> str:
    text = error.strerror or str(error)
    return f"{text} ({error.filename})" if error.filename else text

"""The interface that all checks of a file's structure have.

`foreign.py` reads a file once, in order, and feeds each chunk to the file's check. A check may also
read parts of the file itself.
"""

import os
from typing import Protocol

from supervisor.checkpoint.proofs.zip_archive import DamagedError


class Check(Protocol):
    """A check of one file. `is_proof`: damage to the file's structure would have shown."""

    is_proof: bool

    def feed(self, chunk: memoryview) -> None:
        """Take the next bytes of the file. Raises DamagedError."""

    def finish(self) -> None:
        """Say that the file has ended. Raises DamagedError."""


class SeenAtOnce:
    """The outcome of a check that was made, as far as possible, before the file is fed."""

    def __init__(self, *, is_proof: bool) -> None:
        self.is_proof = is_proof

    def feed(self, chunk: memoryview) -> None:
        """Nothing is left to check."""

    def finish(self) -> None:
        """Nothing is left to check."""


def read_exactly(fd: int, size: int, offset: int) -> bytes:
    """Read `size` bytes at `offset`. Raises DamagedError if the file ends before, OSError."""
    data = os.pread(fd, size, offset)
    if len(data) != size:
        raise DamagedError("is cut short")
    return data


class NotOnlyZeros:
    """Checks that a raw file holds a byte other than zero. Nothing else can be checked in it."""

    def __init__(self) -> None:
        self.is_proof = False
        self._is_zero = True

    def feed(self, chunk: memoryview) -> None:
        """Take the next bytes of the file."""
        # `strip` stops at the first other byte; `any` over a memoryview is ten times slower.
        self._is_zero = self._is_zero and not bytes(chunk).strip(b"\0")

    def finish(self) -> None:
        """Say that the file has ended. Raises DamagedError."""
        if self._is_zero:
            raise DamagedError("holds nothing but zeros: its data never reached the disk")

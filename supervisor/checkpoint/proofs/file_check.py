"""What every check of a file's structure has in common: it sees each byte once, in order."""

import os
from typing import Protocol

from supervisor.checkpoint.proofs.zip_archive import DamagedError


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


def read_exactly(fd: int, size: int, offset: int) -> bytes:
    """So many bytes from there. Raises DamagedError where the file ends before, OSError."""
    data = os.pread(fd, size, offset)
    if len(data) != size:
        raise DamagedError("is cut short")
    return data


class NotOnlyZeros:
    """Checks that a raw file holds a byte other than zero; nothing else can be known of it."""

    def __init__(self) -> None:
        self.is_proof = False
        self._is_zero = True

    def feed(self, chunk: memoryview) -> None:
        """Take the next bytes of the file."""
        # Stops at the first byte that is none; `any` over a memoryview is ten times slower.
        self._is_zero = self._is_zero and not bytes(chunk).strip(b"\0")

    def finish(self) -> None:
        """Say that the file has ended. Raises DamagedError."""
        if self._is_zero:
            raise DamagedError("holds nothing but zeros: its data never reached the disk")

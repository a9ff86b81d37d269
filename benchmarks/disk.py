"""Measures the disk with dd, and puts files into the page cache or takes them out of it."""

import ctypes
import mmap
import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

BLOCK = "4M"
_ATTEMPTS = 5
_NO_RESERVE = 0x4000  # MAP_NORESERVE, which Python has since 3.13
_COPIED = re.compile(r"^(\d+) bytes", re.MULTILINE)


class DiskError(Exception):
    """The disk, or the page cache, did not do what the measurement needs."""


def files_of(folder: Path) -> list[Path]:
    """All files below a directory, the same order each time."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def size_of(files: Sequence[Path]) -> int:
    """The size of files together, in bytes."""
    return sum(path.stat().st_size for path in files)


def write_seconds(files: Sequence[Path], target: Path) -> float:
    """Time `dd bs=4M conv=fsync` of each file in turn to `target`, in seconds; removes `target`.

    The files should be cached, so that only the write is measured.
    """
    seconds = 0.0
    for path in files:
        seconds += _dd(path, f"if={path}", f"of={target}", "conv=fsync")
        target.unlink()
    return seconds


def read_seconds(files: Sequence[Path]) -> float:
    """Time `dd bs=4M iflag=direct` of each file in turn, past the page cache, in seconds."""
    return sum(_dd(path, f"if={path}", "of=/dev/null", "iflag=direct") for path in files)


def drop(files: Sequence[Path]) -> None:
    """Take files out of the page cache: POSIX_FADV_DONTNEED. Raises DiskError if they stay."""
    for path in files:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)  # dirty pages cannot be dropped
            for _ in range(_ATTEMPTS):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                if not is_cached(fd):
                    break
                time.sleep(0.1)  # pages may be on other CPUs' lists, or being read ahead
            else:
                raise DiskError(f"{path} stays in the page cache")
        finally:
            os.close(fd)


def warm(files: Sequence[Path]) -> None:
    """Read files into the page cache."""
    buffer = bytearray(4 << 20)
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def is_cached(fd: int) -> bool:
    """Whether any page of a file is in memory, by mincore(2); the file must be this user's.

    The check must not read the file. RWF_NOWAIT (preadv2(2)) begins to read what it does not find:
    on Linux 6.18 a second check of a dropped file found pages. Raises OSError.
    """
    if os.fstat(fd).st_size == 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    with mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE | _NO_RESERVE) as mapped:
        pages = (ctypes.c_ubyte * -(-len(mapped) // mmap.PAGESIZE))()
        first = ctypes.c_char.from_buffer(mapped)
        start, length = ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(mapped))
        code, number = libc.mincore(start, length, pages), ctypes.get_errno()
        del first  # a mapping with an exported buffer cannot be closed
    if code != 0:
        raise OSError(number, os.strerror(number))
    return any(page & 1 for page in bytes(pages))


def _dd(path: Path, *words: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        ["dd", f"bs={BLOCK}", *words],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    seconds = time.perf_counter() - began
    copied = _COPIED.search(done.stderr)
    if done.returncode or copied is None or int(copied[1]) != path.stat().st_size:
        raise DiskError(f"dd {' '.join(words)}: {done.stderr.strip()}")
    return seconds

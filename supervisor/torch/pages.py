"""Memory on tmpfs that is really there: allocated and populated before it is needed.

Touching a mapped page that a full tmpfs cannot give is SIGBUS (mmap(2)). So nothing is mapped that
was not allocated (posix_fallocate(3)).
"""

import ctypes
import errno
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

_MADV_POPULATE_WRITE = 23
# Small enough that other threads' page faults and allocations wait milliseconds for them.
_POPULATE_BYTES = 4 << 20
_ALLOCATE_BYTES = 64 << 20
_NICE = 10
_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Pages(NamedTuple):
    """A mapped file, as a map and as a tensor of its bytes on the same memory."""

    map: mmap.mmap
    memory: Tensor


def map_file(path: Path, size: int, go_on: Callable[[], None]) -> Pages:
    """Make or adopt a file of that size, allocate its pages, and map it.

    It stays mapped as long as the tensor, or a view of it, lives. `go_on` is called between parts,
    and what it raises goes through. Raises OSError (ENOSPC).
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(fd).st_size > size:
            os.ftruncate(fd, size)
        for begin in range(0, size, _ALLOCATE_BYTES):
            go_on()
            os.posix_fallocate(fd, begin, min(_ALLOCATE_BYTES, size - begin))
        mapped = mmap.mmap(fd, size)
    finally:
        os.close(fd)
    return Pages(mapped, torch.frombuffer(mapped, dtype=torch.uint8))


def populate(pages: Pages, go_on: Callable[[], None]) -> None:
    """Touch all pages, without the GIL; MADV_POPULATE_WRITE of madvise(2), Linux 5.14."""
    address, size = pages.memory.data_ptr(), pages.memory.numel()
    for begin in range(0, size, _POPULATE_BYTES):
        go_on()
        length = min(_POPULATE_BYTES, size - begin)
        while _libc.madvise(address + begin, length, _MADV_POPULATE_WRITE) != 0:
            code = ctypes.get_errno()
            if code == errno.EINVAL:  # an older kernel: the first copy touches them
                return
            if code not in (errno.EINTR, errno.EAGAIN):
                raise OSError(code, os.strerror(code))


def be_nice() -> None:
    """Lower the priority of this thread alone (sched(7): nice is a thread's on Linux)."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)

"""The process's own memory: what Python will run next, and what /proc shows of it.

It writes only to places that it has found by their content, and nothing before all are found.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

from supervisor.standby.refusal import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_POINTER = struct.Struct("=P" if struct.calcsize("P") == 4 else "=Q")
_STATE_BYTES = 1 << 20
_HEAP_BYTES = 1 << 28
_PR_SET_MM, _PR_SET_MM_MAP, _PR_SET_PDEATHSIG, _PR_SET_NAME = 35, 14, 1, 15
_PROT_READ_WRITE, _MAP_PRIVATE_ANONYMOUS = 3, 0x22

_libc = ctypes.CDLL(None, use_errno=True)
_libc.sbrk.restype = ctypes.c_void_p
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]


def _wide(text: str) -> bytes:
    return text.encode(f"utf-32-{sys.byteorder[0]}e", "surrogatepass")


def _all_of(data: bytes, needle: bytes, step: int) -> Iterator[int]:
    """Each aligned offset of `needle`."""
    at = data.find(needle)
    while at >= 0:
        if at % step == 0:
            yield at
        at = data.find(needle, at + 1)


class MainProgram:
    """The program that Python was told to run on its command line, and will run after `site`.

    The two places are PyConfig's `run_filename`, `run_module` or `run_command`, and the first of
    its `argv`, from which `sys.path[0]` is made (Modules/main.c, pymain_run_python). They are found
    by the decoy's text, so that nothing depends on the layout of one version of Python.
    """

    def __init__(self, decoy: str, *, is_script: bool, is_code: bool) -> None:
        """Find the places. Raises Refused unless each is found exactly once."""
        self._ends_line = is_code
        text = _wide(decoy + "\n" if is_code else decoy) + _wide("\0")
        try:
            heap_at, heap = _heap()
            state_at = _state_address()
            state = _read_up_to(state_at, _STATE_BYTES)
        except (AttributeError, OSError, ValueError) as error:
            raise Refused(f"what Python will run cannot be found: {error}") from None
        strings = [heap_at + at for at in _all_of(heap, text, 4)]
        run = [
            state_at + at
            for address in strings
            for at in _all_of(state, _POINTER.pack(address), _POINTER.size)
        ]
        lists = [
            heap_at + slot
            for address in strings
            for slot in _all_of(heap, _POINTER.pack(address), _POINTER.size)
            for at in _all_of(state, _POINTER.pack(heap_at + slot), _POINTER.size)
            if at and _POINTER.unpack_from(state, at - _POINTER.size)[0] == len(sys.argv)
        ]
        if len(run) != 1 or len(lists) != (1 if is_script else 0):
            raise Refused(f"this Python keeps what it runs elsewhere ({len(run)}, {len(lists)})")
        self._run_at = run[0]
        self._first_at = lists[0] if is_script else 0

    def replace(self, target: str) -> None:
        """Let Python run this script, module or code. Nothing fails after the first write."""
        run = target
        if self._ends_line:
            run += "\n"
        elif self._first_at:
            run = _absolute(target)
        pointers = [(self._run_at, _raw_copy(_wide(run + "\0")))]
        if self._first_at:
            pointers.append((self._first_at, _raw_copy(_wide(target + "\0"))))
        for place, address in pointers:
            ctypes.memmove(place, _POINTER.pack(address), _POINTER.size)


def _absolute(path: str) -> str:
    """Do as _Py_abspath() in Python/fileutils.c; sys.argv keeps the path as it was typed."""
    return path if path.startswith("/") else f"{os.getcwd()}/{path}"


def _raw_copy(data: bytes) -> int:
    # PyConfig_Clear() frees it with PyMem_RawFree().
    allocate = ctypes.pythonapi.PyMem_RawMalloc
    allocate.restype, allocate.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    address = allocate(len(data))
    if not address:
        raise MemoryError
    ctypes.memmove(address, data, len(data))
    return int(address)


def _heap() -> tuple[int, bytes]:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if line.rstrip().endswith("[heap]"):
                low, high = (int(word, 16) for word in line.split(maxsplit=1)[0].split("-"))
                return low, _read_up_to(low, min(high - low, _HEAP_BYTES))
    raise ValueError("no heap")


def _state_address() -> int:
    get = ctypes.pythonapi.PyInterpreterState_Get
    get.restype = ctypes.c_void_p
    return int(get())


def _read_up_to(address: int, size: int) -> bytes:
    """Read our memory through /proc, which ends at an unmapped page instead of crashing."""
    parts: list[bytes] = []
    fd = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while size > 0:
            try:
                part = os.pread(fd, min(size, 1 << 20), address)
            except OSError:
                if not parts:
                    raise
                break
            if not part:
                break
            parts.append(part)
            address += len(part)
            size -= len(part)
    finally:
        os.close(fd)
    return b"".join(parts)


class _Map(ctypes.Structure):
    """struct prctl_mm_map, linux/prctl.h."""

    _fields_ = (
        *(
            (name, ctypes.c_uint64)
            for name in (
                "start_code", "end_code", "start_data", "end_data", "start_brk", "brk",
                "start_stack", "arg_start", "arg_end", "env_start", "env_end", "auxv",
            )
        ),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_uint32),
    )  # fmt: skip


def show(argv: list[str], environ: list[bytes]) -> None:
    """Have /proc/PID/cmdline and environ show these, as after an exec.

    The memory of the old ones stays as it is: libraries keep pointers that getenv(3) gave them. It
    needs no privilege, but CONFIG_CHECKPOINT_RESTORE: prctl(2), PR_SET_MM_MAP. Raises Refused
    without it.
    """
    words = b"".join(os.fsencode(word) + b"\0" for word in argv)
    block = b"".join(entry + b"\0" for entry in environ)
    size = len(words) + len(block) or 1
    at = _libc.mmap(None, size, _PROT_READ_WRITE, _MAP_PRIVATE_ANONYMOUS, -1, 0)
    if at in (None, ctypes.c_void_p(-1).value):
        raise Refused(f"no memory for its environment: {os.strerror(ctypes.get_errno())}")
    ctypes.memmove(at, words + block, len(words) + len(block))
    with open("/proc/self/stat", "rb") as file:
        stat = [int(word) for word in file.read().rpartition(b")")[2].split()[1:]]
    field = dict(enumerate(stat, start=4))  # numbered as in proc_pid_stat(5)
    new = _Map(
        field[26], field[27], field[45], field[46], field[47], 0, field[28],
        at, at + len(words), at + len(words), at + size, 0, 0, 0xFFFFFFFF,
    )  # fmt: skip
    pointer, length = ctypes.byref(new), ctypes.c_ulong(ctypes.sizeof(new))
    new.brk = _libc.sbrk(0)
    if _libc.prctl(_PR_SET_MM, ctypes.c_ulong(_PR_SET_MM_MAP), pointer, length, 0) != 0:
        why = os.strerror(ctypes.get_errno())
        raise Refused(f"its environment in /proc cannot be renewed (PR_SET_MM_MAP: {why})")


def die_with(launcher_pid: int, signum: int) -> None:
    """Get `signum` when the launcher ends; end at once if it has. See prctl(2), PDEATHSIG."""
    _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signum), 0, 0, 0)
    if os.getppid() != launcher_pid:
        os._exit(128 + signum)


def name_process(name: str) -> None:
    """Have ps(1) show this name: the kernel names a process by its script's file, not by Python's.

    It keeps the first 15 bytes; see prctl(2), PR_SET_NAME.
    """
    _libc.prctl(_PR_SET_NAME, ctypes.c_char_p(os.fsencode(name)), 0, 0, 0)

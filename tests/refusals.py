"""A Python without functions for some system calls, and a kernel that refuses those calls.

`python refusals.py ENOSYS|EPERM COMMAND…` sets a seccomp(2) filter, which all descendants inherit,
and executes the command. `without_functions` serves programs that read PYTHONPATH, with or without
`site`.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from pathlib import Path

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_NUMBERS = {"x86_64": (434, 424, 319), "aarch64": (434, 424, 279)}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN, _ALLOW, _ERRNO = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000

_DELETE = """
import os, signal
for module, name in ((os, "pidfd_open"), (signal, "pidfd_send_signal"), (os, "memfd_create")):
    if hasattr(module, name):
        delattr(module, name)
"""
# The launcher runs with -S: Python does not import `site`, but it does read PYTHONPATH.
_SIGNAL = """
import os, sys
with open(os.path.join(os.path.dirname(os.__file__), "signal.py")) as file:
    exec(compile(file.read(), file.name, "exec"))
del pidfd_send_signal
for name in ("pidfd_open", "memfd_create"):
    delattr(os, name)
"""


def without_functions(folder: Path, *, no_site: bool = False) -> dict[str, str]:
    """The environment for a Python that lacks the functions, as conda's and uv's Pythons do."""
    folder.mkdir()
    if no_site:
        (folder / "signal.py").write_text(_SIGNAL)
    else:
        (folder / "sitecustomize.py").write_text(_DELETE)
    return {"PYTHONPATH": str(folder)}


def refusing(error: str) -> list[str]:
    """The words to put before a command so that the kernel refuses the calls with this error."""
    return [sys.executable, str(Path(__file__).resolve()), error]


def _refuse(error: int) -> None:
    machine = platform.machine()
    numbers = _NUMBERS[machine]
    last = len(numbers)
    # A BPF jump counts the instructions to skip: here up to the refusal, the last, or the
    # permission.
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 0, last + 1, _AUDIT_ARCH[machine]), (_LOAD, 0, 0, 0)]
    program += [(_EQUAL, last - at, 0, number) for at, number in enumerate(numbers)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | error)]
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value, more in (
        (_PR_SET_NO_NEW_PRIVS, 1, None),
        (_PR_SET_SECCOMP, _FILTER, ctypes.c_char_p(header)),
    ):
        if libc.prctl(option, ctypes.c_ulong(value), more or 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    _refuse(getattr(errno, sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])

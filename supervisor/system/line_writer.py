"""Writes lines for a person to read, and never waits: a stalled reader must not stall the writer.

The lines go to terminals, pipes, a job's log, the journal. Stdlib only.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# A pipe takes this much at once without blocking whenever it polls writable: pipe(7), PIPE_BUF.
LONGEST_BYTES = 4096
_CUT = b" ...\n"


def write_lines(fd: int, lines: Sequence[str]) -> int:
    """Write as many lines as the descriptor takes at once, and return how many.

    A line that is too long is cut, and ends in ` ...`. Raises OSError if the reader is gone.
    """
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    written = 0
    while written < len(lines) and poller.poll(0):
        data, upto = _line(lines[written]), written + 1
        while upto < len(lines) and len(data) + len(more := _line(lines[upto])) <= LONGEST_BYTES:
            data, upto = data + more, upto + 1
        try:
            while data:
                data = data[os.write(fd, data) :]
        except BlockingIOError:
            break  # another process with the same terminal has made it non-blocking
        written = upto
    return written


def _line(text: str) -> bytes:
    line = f"{text}\n".encode("utf-8", "backslashreplace")
    return line if len(line) <= LONGEST_BYTES else line[: LONGEST_BYTES - len(_CUT)] + _CUT

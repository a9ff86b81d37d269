"""What the launcher says to a person. It must never block: a terminal may have been stopped."""

from __future__ import annotations

import os
import select

STDERR = 2
# A pipe takes this much at once without blocking whenever it polls writable: pipe(7), PIPE_BUF.
LONGEST_BYTES = 4096


def say(text: str) -> None:
    """Write a line to stderr if that is possible at once; otherwise it is dropped."""
    line = f"supervisor: {text}\n".encode("utf-8", "backslashreplace")
    if len(line) > LONGEST_BYTES:
        line = line[: LONGEST_BYTES - 5] + b" ...\n"
    writable = select.poll()
    writable.register(STDERR, select.POLLOUT)
    try:
        if any(events & select.POLLOUT for _, events in writable.poll(0)):
            os.write(STDERR, line)
    except OSError:
        return  # The terminal is gone (EIO, EPIPE): there is nobody to tell.


def say_exception(where: str) -> None:
    """Say the exception that is being handled, with its traceback."""
    # Imported only when something went wrong: traceback costs 0.5 MB.
    import traceback

    say(f"internal error {where}; going on\n{traceback.format_exc(limit=-8)}")

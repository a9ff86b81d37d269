"""What the launcher says to a person. It must never block: a terminal may have been stopped."""

from __future__ import annotations

import os

from supervisor.system import journal_stream
from supervisor.system.line_writer import write_lines

STDERR = 2
_MOST_FAULTS = 64

_faults: dict[str, int] = {}


def say(text: str, priority: int = journal_stream.WARNING) -> None:
    """Write a line to stderr if that is possible at once; otherwise drop it."""
    text = f"supervisor: {text}"
    if journal_stream.is_journal(STDERR):
        text = journal_stream.mark(text, priority)
    try:
        write_lines(STDERR, [text])
    except OSError:
        return  # The terminal is gone (EIO, EPIPE): there is nobody to tell.


def say_exception(where: str, error: BaseException) -> None:
    """Say an exception and the places it went through; never raises.

    It does without `traceback`, whose import costs 0.5 MB and fails when descriptors or memory are
    short.
    """
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{os.path.basename(code.co_filename)}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    what = f"{type(error).__name__}: {error}"
    say_seldom(f"internal error {where}; going on: {what} ({' > '.join(places[-8:])})")


def say_seldom(text: str) -> None:
    """Say a text that may repeat only the 1st, 2nd, 4th, 8th … time: consoles are kept in files.

    Never raises.
    """
    times = _faults.get(text, 0) + 1
    if len(_faults) >= _MOST_FAULTS:
        _faults.clear()
    _faults[text] = times
    if times & (times - 1) == 0:
        say(text if times == 1 else f"{text}, {times} times so far")

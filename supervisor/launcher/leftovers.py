"""How an attempt's main process ended, and when to kill what it has left: mostly at once.

It kills nothing.
"""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# A signal to a whole job (systemd, scancel --full) may end `bash` before the launcher's own copy
# has come back to it as a stop: its ranks, who are saving, are not leftovers yet.
STOP_MAY_COME_S = 0.25
STOP_IS_COMING_S = 5.0


def ending_of(attempt: int, status: int) -> dict[str, Any]:
    """Return what is told of the end of a main process that was reaped just now."""
    return {
        "attempt": attempt,
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        "core_dumped": os.WCOREDUMP(status),
        "monotonic": time.monotonic(),
    }


def kill_at(ending: dict[str, Any], stop_signal_at: float) -> float | None:
    """Return when to kill what it has left, monotonic seconds; None for at once.

    `stop_signal_at`: when the launcher was last sent a stop.
    """
    now = time.monotonic()
    due = now
    codes = tuple(128 + number for number in STOP_SIGNALS)
    if ending["signal"] in STOP_SIGNALS or ending["code"] in codes:
        due = now + STOP_MAY_COME_S
    due = max(due, stop_signal_at + STOP_IS_COMING_S)
    return due if due > now else None

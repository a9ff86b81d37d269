"""Whether a process ends in order: neither killed, nor ended by an unhandled exception.

Stdlib only: trainers import it. A shell hides its child's exit code, so the child says it itself.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable


def at_orderly_end(tell: Callable[[], None]) -> None:
    """Have `tell` called when this process, and no fork of it, ends in order.

    The argument of `sys.exit` is not known then, except in a child of multiprocessing.
    """
    from multiprocessing import parent_process, util

    owner = os.getpid()

    def at_exit() -> None:
        # Set for an exception that ended the program: see sys.last_value.
        if os.getpid() == owner and getattr(sys, "last_value", None) is None:
            tell()

    def in_a_child() -> None:
        # If an exception ended the child's function, it is still being raised here.
        if os.getpid() == owner and _is_success(sys.exc_info()[1]):
            tell()

    if parent_process() is None:
        atexit.register(at_exit)
    else:  # its exceptions are printed by multiprocessing, and exit handlers may not run
        util.Finalize(None, in_a_child, exitpriority=0)


def _is_success(error: BaseException | None) -> bool:
    return error is None or (isinstance(error, SystemExit) and error.code in (None, 0))

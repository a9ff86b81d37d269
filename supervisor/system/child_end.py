"""Ends a child process of ours, and waits for it only a moment.

Not even SIGKILL ends a process inside a dead file server or a driver that has lost its device.
"""

import subprocess
from contextlib import suppress
from typing import Any

REAP_S = 0.1


def end_child(child: "subprocess.Popen[Any]", patience_s: float = REAP_S) -> bool:
    """Kill a child, close our ends of its pipes, and reap it; False if it still lives.

    The next `Popen` of this process reaps a child that ends later, once nothing refers to it.
    """
    child.kill()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with suppress(OSError):  # what is left in a buffer cannot be written any more
                pipe.close()
    with suppress(subprocess.TimeoutExpired):
        child.wait(patience_s)
    return child.returncode is not None

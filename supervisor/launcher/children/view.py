"""The live display's process: in the launcher's session, since it has the terminal. It may die."""

from __future__ import annotations

import os
import signal

from supervisor.launcher.children.spawn import Program, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def start_view(argv: Sequence[str]) -> int:
    """Start it and return its pid. Raises OSError when there can be no process now."""
    program = Program(
        argv,
        dict(os.environ),
        null_stdin=False,
        new_session=False,
        death_signal=signal.SIGTERM,
        # Ctrl-C is for the run: the display shows what comes of it.
        ignored=(signal.SIGINT,),
    )
    spawned = spawn(program)
    os.close(spawned.report_fd)
    return spawned.pid

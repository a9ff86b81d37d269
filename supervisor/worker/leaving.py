"""The end of a rank with 75, of which an experiment tracker hears first.

Stdlib only. Where the start-up hook follows no tracker, this is `sys.exit(75)`.
"""

from __future__ import annotations

import sys

from .contract import EXIT_PREEMPTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_TRACKERS = ("_train_supervisor.integrations.wandb_run", "supervisor.integrations.wandb_run")


def leave_preempted() -> NoReturn:
    """Tell the script's W&B run that this process is preempted, and end it with 75."""
    for name in _TRACKERS:
        tell = getattr(sys.modules.get(name), "mark_preempting", None)
        if tell is not None:
            tell()
            break
    # W&B takes the exit code from `sys.exit`, which it replaces. A bare SystemExit is 0 to it.
    sys.exit(EXIT_PREEMPTED)
    raise SystemExit(EXIT_PREEMPTED)  # whatever stands in the place of `sys.exit` has returned

"""A wish that reaches nobody who could act on it: what goes on all the same, and what to type."""

import textwrap

from supervisor.cli.record import RunRecord, Unwatched
from supervisor.cli.show.advice import by_hand, next_steps
from supervisor.cli.show.summary import running_text
from supervisor.cli.show.terminal import strip_controls
from supervisor.daemon.look.frozen_launcher import frozen_text

_WIDTH = 80


def unwatched_lines(record: RunRecord) -> list[str]:
    """What still runs though no supervisor is there to stop it; nothing where nothing does."""
    if record.live or not record.still_running:
        return []
    lines = []
    for found in record.still_running:
        text = strip_controls(f"{record.name}: still runs: {running_text(found)}")
        lines += textwrap.wrap(text, _WIDTH, break_on_hyphens=False, break_long_words=False)
    lines += [
        "No supervisor is there to stop it, and none starts until `supervisor resume`.",
        "",
    ]
    if record.state == Unwatched.DOWN:
        return lines + next_steps(record)
    # What ended by its record is not to be started again for a process that it left.
    return lines + by_hand(record.still_running[0].pid)


def frozen_line(record: RunRecord) -> str:
    """That the launcher is stopped by a signal; empty where it is not, or its pid is not known."""
    if not record.launcher_frozen:
        return ""
    told = record.status.pids.launcher
    pid = record.owner.identity.pid if record.owner is not None else told
    return f"{record.name}: {frozen_text(pid)}" if pid is not None else ""

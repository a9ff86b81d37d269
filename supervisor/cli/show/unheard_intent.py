"""What to say where no supervisor can act on the operator's wish: what runs, and what to type."""

import textwrap

from supervisor.cli.record import RunRecord, Unwatched
from supervisor.cli.show.advice import by_hand, next_steps
from supervisor.cli.show.summary import running_text
from supervisor.cli.show.terminal import strip_controls
from supervisor.daemon.look.frozen_launcher import frozen_text

_WIDTH = 80


def unwatched_lines(record: RunRecord) -> list[str]:
    """The processes that still run while no supervisor could stop them; empty where none does."""
    if record.live or not record.still_running:
        return []
    lines = []
    for found in record.still_running:
        text = strip_controls(f"{record.name}: a process still runs: {running_text(found)}")
        lines += textwrap.wrap(text, _WIDTH, break_on_hyphens=False, break_long_words=False)
    lines += [
        "No supervisor can stop that process, and none starts until `supervisor resume`.",
        "",
    ]
    if record.state == Unwatched.DOWN:
        return lines + next_steps(record)
    # By its record the run has ended. So advise how to end the process, not to start the run.
    return lines + by_hand(record.still_running[0].pid)


def frozen_line(record: RunRecord) -> str:
    """Says that a signal has stopped the launcher; empty where not, or its pid is not known."""
    if not record.launcher_frozen:
        return ""
    told = record.status.pids.launcher
    pid = record.owner.identity.pid if record.owner is not None else told
    return f"{record.name}: {frozen_text(pid)}" if pid is not None else ""

"""What the live display looks like, from a status and the log's last lines; no clock, no files."""

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from supervisor.cli.record import RunRecord, no_daemon_text
from supervisor.cli.show.advice import intent_text, next_steps
from supervisor.cli.show.formatting import age_text, wall_of
from supervisor.cli.show.progress import progress_text
from supervisor.cli.show.summary import (
    STATE_COLOURS,
    checkpoint_text,
    failure_text,
    goodput_text,
    is_remarkable,
    next_text,
    shows_steps,
    stopping_text,
)
from supervisor.cli.show.terminal import strip_controls
from supervisor.config.durations import format_duration
from supervisor.core.save_interval_words import save_interval_text
from supervisor.core.status import Status
from supervisor.core.vocabulary import TERMINAL
from supervisor.daemon.look.frozen_launcher import frozen_text

_FACT_ROWS = 12
_MOST_LOG_LINES = 12
_LATE_S = 10.0


def render(
    record: RunRecord, log: list[str], console: Console, *, now_s: float, final: bool
) -> RenderableType:
    """The whole display, no higher than the terminal.

    `final`: the last picture, which stays on the terminal and says what to type next.
    """
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, text in _rows(record, now_s):
        facts.add_row(label, text)
    inside = console.options.update(width=max(10, console.size.width - 4))
    used = len(console.render_lines(facts, inside)) + (6 if final else 0)
    # Four lines: the frame takes two, an empty line and the cursor one each.
    room = max(0, min(_MOST_LOG_LINES, console.size.height - used - 4))
    parts: list[RenderableType] = [facts]
    if room and log:
        lines = Text("\n").join(Text(line, style="dim") for line in log[-room:])
        lines.no_wrap, lines.overflow = True, "ellipsis"
        parts += [Text(), lines]
    if final:
        parts += [Text(), *(Text(line) for line in next_steps(record))]
    state = record.state if record.has_status else "starting"
    colour = STATE_COLOURS.get(state, "cyan")
    title = Text.assemble((f" {strip_controls(record.name)} ", "bold"), (f"{state} ", colour))
    return Panel(
        Group(*parts), title=title, title_align="left", border_style=colour, padding=(0, 1)
    )


def _rows(record: RunRecord, now_s: float) -> list[tuple[str, Text]]:
    """Label and text of each line, at most `_FACT_ROWS`."""
    status = record.status
    rows: list[tuple[str, Text]] = []

    def add(label: str, text: str, style: str = "") -> None:
        if text:
            rows.append((label, Text(strip_controls(text), style=style)))

    if not record.has_status:
        add("", "waiting for the daemon's first status")
    add("attempt", _attempt_text(status, now_s))
    add("progress", progress_text(status))
    add("checkpoint", checkpoint_text(status.checkpoint))
    if record.live and record.state not in TERMINAL:
        add("recovery", f"{'. '.join(status.recovery)}." if status.recovery else "")
        add("saves", save_interval_text(status.save_interval))
        add("phase", _phase_text(status))
    add("goodput", goodput_text(status.goodput, is_shown=shows_steps(status)))
    if is_remarkable(status):
        add("last failure", failure_text(status))
    add("why", status.reason or "")
    if record.launcher_frozen and record.owner is not None:
        add("launcher", frozen_text(record.owner.identity.pid), "red")
    else:
        add("next", next_text(status, now_s), "yellow")
        add("stopping", stopping_text(status, now_s), "yellow")
    add("operator", intent_text(record) if record.live else "", "yellow")
    for warning in status.warnings[-2:]:
        add("warning", warning, "yellow")
    if record.no_daemon is not None:
        add("daemon", no_daemon_text(record.no_daemon, now_s), "red")
    elif record.age_s is not None and record.age_s > _LATE_S and record.live:
        add("daemon", f"has not written for {format_duration(record.age_s)}", "red")
    return rows[:_FACT_ROWS]


def _attempt_text(status: Status, now_s: float) -> str:
    """Which attempt, how many restarts, since when."""
    if not status.attempt:
        return ""
    restarts = status.restarts or 0
    text = f"{status.attempt}, {restarts} {'restart' if restarts == 1 else 'restarts'}"
    started = wall_of(status.started_at)
    return text + (f", up {format_duration(max(0.0, now_s - started))}" if started else "")


def _phase_text(status: Status) -> str:
    """What the trainer does, and how lately it was heard."""
    if not status.phase:
        return ""
    if (age := status.heartbeat_age_s) is not None:
        # An age below the time between two looks of the daemon would only flicker.
        return f"{status.phase}, heartbeat {'just now' if age < 2 else age_text(age)}"
    if status.log_age_s is not None:
        return f"{status.phase}, last log line {age_text(status.log_age_s)}"
    return status.phase

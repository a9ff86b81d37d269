"""`supervisor stop`: writes the wish to a file and follows the run's end; it signals nobody."""

import time
from pathlib import Path

import click

from supervisor.cli.record import FRESH_S, RunRecord, read_record
from supervisor.cli.show.summary import stopping_text, summary_lines
from supervisor.cli.show.terminal import echo, json_text
from supervisor.cli.show.unheard_intent import frozen_line, unwatched_lines
from supervisor.cli.target import find_run, target_argument
from supervisor.cli.write_intent import say_intent
from supervisor.core.vocabulary import TERMINAL, Intent, RunState
from supervisor.daemon.look.frozen_launcher import SAID_AFTER_S
from supervisor.system.clock import wall_s

_LOOK_EVERY_S = 0.25
# A daemon that works looks at the intent at least once a second.
_UNHEARD_AFTER_S = 15.0


@click.command("stop", short_help="Save and end the run; it stays ended until `resume`.")
@target_argument
@click.option("--no-wait", is_flag=True, help="Do not wait until the run has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print the final status as one JSON object.")
def stop_command(target: str | None, no_wait: bool, as_json: bool) -> None:
    """Have the trainer save and end, and keep the run ended until `supervisor resume`.

    The command works on any machine that sees the run directory, and also while nothing runs.
    """
    run_dir = find_run(target)
    say_intent(run_dir, Intent.STOP)
    record = read_record(run_dir)
    if record.live and not no_wait:
        record = _follow(run_dir, quiet=as_json)
    elif not as_json:
        if frozen := frozen_line(record):
            echo(frozen)
        elif record.live:
            echo(
                f"{record.name}: the run was asked to save and end; `supervisor status` shows how"
                " far it is"
            )
        elif unwatched := unwatched_lines(record):
            echo("\n".join(unwatched))
        elif record.state == RunState.COMPLETED:
            echo(f"{record.name}: the run is finished; nothing runs")
        else:
            echo(f"{record.name}: nothing runs, and nothing starts until `supervisor resume`")
    if as_json:
        click.echo(json_text(record.as_json()))
    # Exit with 1 so that a script does not take the run for ended: only a human can end it.
    if record.state == RunState.STUCK or (record.launcher_frozen and not no_wait):
        raise SystemExit(1)


def _follow(run_dir: Path, *, quiet: bool) -> RunRecord:
    """Wait until no supervisor has the run, and tell each change; returns the last record.

    A launcher that stays stopped by a signal ends nothing, so the wait is given up then.
    """
    asked = time.monotonic()
    told = ""
    warned = False
    frozen_since: float | None = None
    try:
        while (record := read_record(run_dir)).live:
            now = time.monotonic()
            line = frozen_line(record) or _doing(record)
            state = "frozen" if record.launcher_frozen else record.status.state or ""
            if state != told and state not in TERMINAL and not quiet:
                echo(line)
                told = state
            frozen_since = (frozen_since or now) if record.launcher_frozen else None
            if frozen_since is not None and now - frozen_since >= _patience_s(record):
                message = (
                    "no longer waiting; the stop is on record, and goes on once the launcher goes"
                    " on"
                )
                echo(f"warning: {message}", err=True)
                return record
            unheard = state not in (
                "frozen",
                RunState.DRAINING,
                RunState.KILLING,
                RunState.STOPPED,
                RunState.COMPLETED,
            )
            if unheard and not warned and now - asked > _UNHEARD_AFTER_S:
                warned = True
                message = (
                    "the daemon has not answered yet; the stop is on record, and the daemon will"
                    " read it"
                )
                echo(f"warning: {message}", err=True)
            time.sleep(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        echo("\nno longer waiting; the stop stays on record", err=True)
        raise SystemExit(130) from None
    if not quiet:
        click.echo("\n".join(summary_lines(record, now_s=wall_s())))
    return record


def _doing(record: RunRecord) -> str:
    """One line about how far the stop is."""
    detail = stopping_text(record.status, wall_s())
    return f"{record.name}: {record.state}" + (f": {detail}" if detail else "")


def _patience_s(record: RunRecord) -> float:
    """How long a launcher may look stopped; longer from another machine, whose view may be old."""
    is_seen = record.owner is not None and record.owner.is_here()
    return SAID_AFTER_S if is_seen else FRESH_S

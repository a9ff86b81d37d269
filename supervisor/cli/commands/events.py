"""`supervisor events`: the ledger as a story with local times, or as JSON."""

import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from supervisor.cli.record import read_record
from supervisor.cli.show.formatting import local_time
from supervisor.cli.show.ledger_details import details
from supervisor.cli.show.ledger_sentences import sentence
from supervisor.cli.show.terminal import json_text, strip_controls
from supervisor.cli.target import find_run, target_argument
from supervisor.core.entries.reading import read_entry
from supervisor.rundir.ledger import decode_entry, read_ledger_report
from supervisor.rundir.paths import RunPaths
from supervisor.system.clock import wall_s

_WIDTH = 80
_LOOK_EVERY_S = 0.5


@click.command("events", short_help="The story of a run, in sentences.")
@target_argument
@click.option(
    "-f", "--follow", is_flag=True, help="Print new events as they happen, until the run ends."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON list; with -f, one JSON object a line."
)
def events_command(target: str | None, follow: bool, as_json: bool) -> None:
    """Tell what happened to a run: attempts, failures, decisions, checkpoints."""
    run_dir = find_run(target)
    if follow:
        try:
            for entry in _coming(run_dir):
                _tell(entry, as_json=as_json)
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        return
    entries, bad = read_ledger_report(RunPaths(run_dir).ledger)
    if as_json:
        click.echo(json_text(entries))
    else:
        for entry in entries:
            _tell(entry, as_json=False)
        if not entries:
            click.echo("Nothing has happened yet.")
    if bad:
        noun = "line" if bad == 1 else "lines"
        click.echo(f"warning: passed over {bad} damaged {noun} in the ledger", err=True)


def _tell(record: dict[str, Any], *, as_json: bool) -> None:
    """Print one entry."""
    if as_json:
        click.echo(json_text(record, indent=None))
        return
    entry = read_entry(record)
    text = sentence(entry)
    if text is None:
        return
    stamp = local_time(record.get("at"), now_s=wall_s())
    click.echo(_wrapped(stamp, strip_controls(text)))
    for line in details(entry):
        click.echo(_wrapped(" " * len(stamp), "| " + strip_controls(line)))


def _wrapped(stamp: str, text: str) -> str:
    """A sentence beside its time, 80 columns wide."""
    indent = " " * (len(stamp) + 2)
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=f"{stamp}  ",
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _coming(run_dir: Path) -> Iterator[dict[str, Any]]:
    """The ledger's entries, and new ones as they come, until no supervisor has the run."""
    path, offset = RunPaths(run_dir).ledger, 0
    while True:
        live = read_record(run_dir).live
        try:
            with path.open("rb") as file:
                file.seek(offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # this line is being written: read it again from its start
                    offset += len(line)
                    if (entry := decode_entry(line)) is not None:
                        yield entry
        except FileNotFoundError:
            pass  # nothing happened yet
        if not live:
            return
        time.sleep(_LOOK_EVERY_S)

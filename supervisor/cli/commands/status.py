"""`supervisor status`: what a run is doing now, in at most 150 ms: no pydantic, no rich here."""

import click

from supervisor.cli.record import read_record
from supervisor.cli.show.summary import summary_lines
from supervisor.cli.show.terminal import json_text
from supervisor.cli.target import find_run, target_argument
from supervisor.system.clock import wall_s


@click.command("status", short_help="What a run is doing now.")
@target_argument
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status_command(target: str | None, as_json: bool) -> None:
    """Say what a run is doing now, whether or not a supervisor has it.

    TARGET is a run directory, a name below runs/ or a configuration. Without TARGET the command
    takes the only run here, else your only live run.
    """
    record = read_record(find_run(target))
    if as_json:
        click.echo(json_text(record.as_json()))
        return
    click.echo("\n".join(summary_lines(record, now_s=wall_s())))

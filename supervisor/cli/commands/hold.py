"""`supervisor hold`: the attempt that runs goes on, no further one is launched."""

import click

from supervisor.cli.record import read_record
from supervisor.cli.show.terminal import echo, json_text
from supervisor.cli.show.unheard_intent import frozen_line, unwatched_lines
from supervisor.cli.target import find_run, target_argument
from supervisor.cli.write_intent import say_intent
from supervisor.core.vocabulary import Intent


@click.command("hold", short_help="Let the current attempt run to its end; launch no other.")
@target_argument
@click.option("--json", "as_json", is_flag=True, help="Print the status as one JSON object.")
def hold_command(target: str | None, as_json: bool) -> None:
    """Let the attempt run to its end, and launch no other until `supervisor resume`."""
    run_dir = find_run(target)
    say_intent(run_dir, Intent.HOLD)
    record = read_record(run_dir)
    if as_json:
        click.echo(json_text(record.as_json()))
    elif record.live:
        echo(
            f"{record.name}: the current attempt goes on; no other is launched\n"
            "until `supervisor resume`"
        )
        if frozen := frozen_line(record):
            echo(frozen)
    elif unwatched := unwatched_lines(record):
        echo("\n".join(unwatched))
    else:
        echo(f"{record.name}: nothing runs, and nothing starts until `supervisor resume`")

"""`supervisor resume`: takes back a stop or hold; it starts nothing by itself."""

from pathlib import Path

import click

from supervisor.cli.record import read_history, read_record
from supervisor.cli.show.advice import shown_config
from supervisor.cli.show.terminal import echo, json_text
from supervisor.cli.target import find_run, target_argument
from supervisor.cli.write_intent import say_intent
from supervisor.config.load import refuse_broken
from supervisor.core.vocabulary import TERMINAL, Failure, Intent


@click.command("resume", short_help="Take back `stop` or `hold`, or let a held run go on.")
@target_argument
@click.option("--json", "as_json", is_flag=True, help="Print the status as one JSON object.")
def resume_command(target: str | None, as_json: bool) -> None:
    """Take back `stop` or `hold`, or let a held run go on.

    All failure budgets start again from zero. If the run has no supervisor now, it starts only
    with the next `supervisor run`. Exits 78, and changes nothing, if its configuration is wrong.
    """
    run_dir = find_run(target)
    before = read_record(run_dir)
    if not before.live and before.status.config is not None:
        # A daemon that lives has the configuration that was valid at its start.
        refuse_broken(Path(before.status.config))
    say_intent(run_dir, Intent.RUN)
    record = read_record(run_dir)
    if as_json:
        click.echo(json_text(record.as_json()))
        return
    config = shown_config(record.status)
    history = read_history(record.paths)[0]
    if history.held is not None and history.held_for == Failure.RESUME_IGNORED:
        echo(
            f"{record.name}: for the rest of this run the supervisor trusts the trainer to resume"
            " from its checkpoints, whatever steps it shows"
        )
    if history.finished:
        echo(f"{record.name}: the run is finished; to train on: supervisor run {config} --again")
    elif record.live and before.status.state in TERMINAL:
        echo(
            f"{record.name}: its supervisor, which waits for hooks, ends now, and the run may start"
            f" again; to start it then: supervisor run {config}"
        )
    elif record.live:
        echo(f"{record.name}: the run goes on")
    else:
        echo(f"{record.name}: the run may start again; to start it: supervisor run {config}")

"""`supervisor resume`: takes back a stop or hold; it starts nothing by itself."""

import click

from supervisor.cli.record import read_history, read_record
from supervisor.cli.show.advice import shown_config
from supervisor.cli.show.terminal import echo, json_text
from supervisor.cli.target import find_run, target_argument
from supervisor.cli.write_intent import say_intent
from supervisor.core.vocabulary import Failure, Intent


@click.command("resume", short_help="Take back `stop` or `hold`, or go on after a run was held.")
@target_argument
@click.option("--json", "as_json", is_flag=True, help="Print the status, machine-readable.")
def resume_command(target: str | None, as_json: bool) -> None:
    """Take back `stop` or `hold`, or let a run go on that was held.

    Failure budgets start again from zero. Where no supervisor has the run, `supervisor run` starts
    it.
    """
    run_dir = find_run(target)
    say_intent(run_dir, Intent.RUN)
    record = read_record(run_dir)
    if as_json:
        click.echo(json_text(record.as_json()))
        return
    config = shown_config(record.status)
    history = read_history(record.paths)[0]
    if history.held is not None and history.held_for == Failure.RESUME_IGNORED:
        echo(
            f"{record.name}: taken at your word, it does resume from its checkpoints: that its"
            " steps begin anew is not concluded again in this run"
        )
    if record.live:
        echo(f"{record.name}: goes on")
    elif history.finished:
        echo(f"{record.name}: is finished; to train on: supervisor run {config} --again")
    else:
        echo(f"{record.name}: may run again; start it: supervisor run {config}")

"""`supervisor notify`: a test message to each target, and what came of it."""

import socket
from dataclasses import asdict
from pathlib import Path

import click

from supervisor.cli.show.terminal import echo, json_text
from supervisor.config.load import load_config
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.notify.delivery import DEADLINE_S, NO_ANSWER, ask, label
from supervisor.notify.message import trial


@click.command("notify", short_help="Send a test message to each target of `notify`.")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the answers as a JSON list.")
def notify_command(config: Path, as_json: bool) -> None:
    """Send a test message to each target that CONFIG names, and say what came of it.

    `ping` is asked for once, too. Exits 0 if all took it, else 1.
    """
    loaded = load_config(config).config
    targets, ping = loaded.notify.to, loaded.notify.ping
    if not targets and ping is None:
        raise SupervisorError(
            f"{config}: nobody is to be told: it has no `notify.to` and no `notify.ping`",
            hint="write `notify: {to: [ntfy://my-topic]}`; docs/notify.md has more addresses",
            code=ExitCode.CONFIGURATION,
        )
    said: list[tuple[str, str | None]] = []
    if targets:
        message = asdict(trial(loaded.name, socket.gethostname()))
        order = {"targets": dict(enumerate(targets)), "message": message, "deadline_s": DEADLINE_S}
        answers = ask(order)
        said += [(label(targets, n), answers.get(n, NO_ANSWER)) for n in range(len(targets))]
    if ping is not None:
        said.append(("ping", ask({"ping": ping, "deadline_s": DEADLINE_S}).get(0, NO_ANSWER)))
    if as_json:
        click.echo(json_text([{"target": who, "error": error} for who, error in said]))
    else:
        for who, error in said:
            echo(f"{who}: {error or 'taken'}")
    if any(error is not None for _, error in said):
        raise SystemExit(1)

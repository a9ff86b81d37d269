"""`supervisor diagnose`: says from a log why a training run died; it decides nothing."""

import textwrap
from pathlib import Path

import click

from supervisor.cli.show.terminal import echo, json_text, strip_controls
from supervisor.core.vocabulary import ExitCode
from supervisor.diagnosis.log_file import diagnose_file
from supervisor.diagnosis.rules_file import read_rules
from supervisor.errors import SupervisorError


@click.command("diagnose", short_help="Say why a training run died, from its log.")
@click.argument("logfile", type=click.Path(path_type=Path))
@click.option("--code", type=int, help="The exit code of the run, if known.")
@click.option(
    "--signal", type=click.IntRange(min=1), help="The signal that killed the run, if known."
)
@click.option(
    "--rules", type=click.Path(path_type=Path), help="A file of rules of your own, tried first."
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="The configuration that names such a file."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diagnose_command(
    logfile: Path,
    code: int | None,
    signal: int | None,
    rules: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Say why a training run died, from its LOGFILE: the root cause, not later errors."""
    if logfile.exists() and not logfile.is_file() and not logfile.is_dir():
        # Reading a fifo would wait, and reading a device might never end.
        raise SupervisorError(
            f"{logfile}: is not a file",
            hint="copy its content into a file first",
            code=ExitCode.USAGE,
        )
    users = read_rules(_rules_file(rules, config))
    try:
        found = diagnose_file(logfile, code=code, signal=signal, rules=users)
    except OSError as error:
        raise SupervisorError(
            f"{logfile}: {error.strerror}",
            hint="name the file that holds what the trainer printed",
            code=ExitCode.USAGE,
        ) from None
    if as_json:
        body = {
            "logfile": str(logfile.absolute()),
            "failure": str(found.failure),
            "action": str(found.action),
            "reason": found.reason,
            "exception": found.exception,
            "frame": found.frame,
            "evidence": list(found.evidence),
            "advice": None if found.advice is None else found.advice.to_json(),
        }
        click.echo(json_text(body))
        return
    echo(f"{found.failure}  (what a supervisor would do: {found.action})")
    echo(textwrap.fill(strip_controls(found.reason), 80))
    if found.exception:
        where = f" in {found.frame}" if found.frame else ""
        echo(strip_controls(f"exception: {found.exception}{where}"))
    for line in found.evidence:
        echo(f"  | {strip_controls(line)}")
    if found.advice is not None:
        echo(textwrap.fill(f"advice: {found.advice.text}", 80))


def _rules_file(rules: Path | None, config: Path | None) -> str | None:
    """The rules that the user named, in a file or by the configuration. Raises SupervisorError."""
    if rules is not None and config is not None:
        raise SupervisorError(
            "--rules and --config name two files of rules",
            hint="give one of them",
            code=ExitCode.USAGE,
        )
    if config is not None:
        # Only here: the configuration's libraries cost a tenth of a second.
        from supervisor.config.load import load_config

        return load_config(config).config.resolved(Path.cwd()).diagnosis.rules
    return None if rules is None else str(rules)

"""`supervisor diagnose`: says from a log why a training run died; it decides nothing."""

import textwrap
from pathlib import Path

import click

from supervisor.cli.show.terminal import echo, json_text, strip_controls
from supervisor.core.vocabulary import ExitCode
from supervisor.diagnosis.log_file import diagnose_file
from supervisor.errors import SupervisorError


@click.command("diagnose", short_help="Say why a training run died, from its log.")
@click.argument("logfile", type=click.Path(path_type=Path))
@click.option("--code", type=int, help="The exit code of the run, if known.")
@click.option(
    "--signal", type=click.IntRange(min=1), help="The signal that killed the run, if known."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diagnose_command(logfile: Path, code: int | None, signal: int | None, as_json: bool) -> None:
    """Say why a training run died, from its LOGFILE: the root cause, not later errors."""
    if logfile.exists() and not logfile.is_file() and not logfile.is_dir():
        # Reading a fifo would wait, and reading a device might never end.
        raise SupervisorError(
            f"{logfile}: is not a file",
            hint="copy its content into a file first",
            code=ExitCode.USAGE,
        )
    try:
        found = diagnose_file(logfile, code=code, signal=signal)
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

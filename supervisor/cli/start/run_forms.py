"""The two forms of `supervisor run`: with a command behind `--`, and with a configuration."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from supervisor.cli.show.advice import shell_word, shown_config
from supervisor.cli.start.typed_line import CommandAfterDashes, TypedLine, typed_line
from supervisor.cli.target import is_run
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status

_SCRIPTS = {".py": "python", ".sh": "bash"}


class RunCommand(CommandAfterDashes):
    """Takes a configuration, or a command behind `--`."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The two forms of the command line."""
        return ["[OPTIONS]", "{-- COMMAND… | CONFIG}"]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Name the missing `--` where a command was typed without it."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "--" in args or (at := _command_begins(args)) is None:
                raise
            line = TypedLine("run", tuple(args[:at]), tuple(args[at:]))
            text = f"{error.message}\nA command stands behind `--`:\n  {line.to_type}"
            raise click.UsageError(text, ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Name the line that was typed where a hint says what to type in its place."""
        try:
            return super().invoke(ctx)
        except SupervisorError as error:
            if error.hint is not None:
                error.hint = typed_line(ctx).named_in(error.hint)
            raise


def refuse_other_forms(
    ctx: click.Context, config: Path | None, line: TypedLine, name: str | None
) -> None:
    """Refuse neither and both of CONFIG and COMMAND, and a name for CONFIG. Raises UsageError."""
    if config is None and not line.command:
        raise click.UsageError(
            "Give the training command behind `--`, or a configuration:\n"
            "  supervisor run -- python train.py     a new run, or the same run again\n"
            "  supervisor run config.yaml            the run of a configuration",
            ctx,
        )
    if config is None:
        return
    shown = shell_word(str(config))
    if line.command:
        behind = replace(line, head=tuple(word for word in line.head if word != str(config)))
        raise click.UsageError(
            "Give either a command or a configuration, which has the command in it:\n"
            f"  {behind.to_type}\n  supervisor run {shown}",
            ctx,
        )
    if name is not None:
        raise click.UsageError(
            f"--name goes with `supervisor run -- COMMAND`; {shown} has the run's name in it.", ctx
        )


def _command_begins(args: list[str]) -> int | None:
    """Where a command begins among words that are no options; None where there seems to be none."""
    at = next((at for at, word in enumerate(args) if not word.startswith("-")), None)
    if at is None or not (args[at].endswith((".py", ".sh")) or shutil.which(args[at])):
        return None
    return at


def refuse_no_configuration(path: Path) -> None:
    """Refuse a run directory or a script in place of a configuration. Raises SupervisorError."""
    program = next((tool for end, tool in _SCRIPTS.items() if path.name.endswith(end)), None)
    if program is not None and path.is_file():
        line = TypedLine("run", (), (program, str(path)))
        raise SupervisorError(
            f"{path}: is a script, not a configuration",
            hint=f"type\n  {line.text}",
            code=ExitCode.CONFIGURATION,
        )
    if not (path.is_dir() and is_run(path)):
        return
    shown = shown_config(read_status(RunPaths(path).status))
    raise SupervisorError(
        f"{path}: is a run directory; `run` needs the run's configuration",
        hint=f"supervisor run {shown}",
        code=ExitCode.CONFIGURATION,
    )

"""`supervisor init`: writes a commented configuration that works as it stands."""

import textwrap
from pathlib import Path

import click

from supervisor.cli.preflight.recovery_outlook import outlook
from supervisor.cli.show.advice import shell_word
from supervisor.cli.show.terminal import echo, json_text
from supervisor.cli.start.command_words import refuse_words
from supervisor.cli.start.typed_line import CommandAfterDashes, typed_line
from supervisor.config.model import RunConfig
from supervisor.config.source import name_of
from supervisor.config.template import config_template
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError


@click.command(
    "init",
    cls=CommandAfterDashes,
    short_help="Write a commented configuration.",
    options_metavar="[OPTIONS]",
    epilog="Example: supervisor init train.yaml -- python train.py --lr 3e-4",
)
@click.argument("path", type=click.Path(path_type=Path), default=Path("config.yaml"))
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the path and the command as one JSON object."
)
@click.pass_context
def init_command(ctx: click.Context, path: Path, force: bool, as_json: bool) -> None:
    """Write a commented configuration to PATH (config.yaml) for the command given after --."""
    line = typed_line(ctx)
    if line.command:
        refuse_words(line)
    command = list(line.command) or _guess()
    if path.exists() and not (path.is_file() or path.is_dir()):
        # Opening a fifo would wait, and a device would be written to.
        raise SupervisorError(
            f"{path}: is not a regular file",
            hint="give another PATH",
            code=ExitCode.USAGE,
        )
    text = config_template(path=shell_word(str(path)), name=_name(path), command=command)
    if path.is_dir():
        path = path / "config.yaml"
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SupervisorError(
            f"{path}: exists already",
            hint="add --force to overwrite it, or give another PATH",
            code=ExitCode.USAGE,
        ) from None
    except OSError as error:
        raise SupervisorError(f"{path}: {error.strerror}", code=ExitCode.USAGE) from None
    if as_json:
        click.echo(json_text({"path": str(path.absolute()), "command": command}, indent=None))
        return
    shown = shell_word(str(path))
    echo(f"wrote {shown}")
    if not line.command:
        echo(f"  put your training command into this file (its command now: {' '.join(command)})")
    echo(f"  supervisor check {shown}\n  supervisor run {shown}")
    if line.command:
        known = outlook(RunConfig(command=tuple(command)))
        if known:
            echo(textwrap.fill(f"{'. '.join(known)}.", 80))


def _guess() -> list[str]:
    """A command that fits the files in this directory."""
    if Path("train.py").is_file():
        return ["python", "train.py"]
    if Path("train/__main__.py").is_file():
        return ["python", "-m", "train"]
    if Path("train.sh").is_file():
        return ["bash", "train.sh"]
    return ["python", "train.py"]


def _name(path: Path) -> str:
    """The run's name: the file's, or the directory's where the file has a common name."""
    stem = path.stem
    if stem in ("config", "supervisor", "run", "train") or path.is_dir():
        stem = path.absolute().parent.name if not path.is_dir() else path.absolute().name
    return name_of(stem)

"""`supervisor checkpoints`: list, pin, unpin, export. It never moves or removes a checkpoint."""

import os
from pathlib import Path
from typing import Any

import click

from supervisor.checkpoint.export import export
from supervisor.checkpoint.pins import pin, unpin
from supervisor.checkpoint.records import CheckpointEntry
from supervisor.cli.ask_survey import directories, request_of, survey_aloud
from supervisor.cli.registry import live_runs
from supervisor.cli.show.advice import shown_path
from supervisor.cli.show.formatting import count_text, size_text
from supervisor.cli.show.terminal import echo, json_text, strip_controls, table
from supervisor.cli.target import find_run, is_run, runs_below, target_argument
from supervisor.core.vocabulary import ExitCode, Tier
from supervisor.errors import SupervisorError
from supervisor.rundir.paths import RunPaths

_SUBCOMMANDS = ("pin", "unpin", "export", "list")


class _ListByDefault(click.Group):
    """`checkpoints [TARGET]` lists; `checkpoints pin PATH` and the like do what they say."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` in front where no subcommand is named."""
        if not args or (args[0] not in _SUBCOMMANDS and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(
    "checkpoints",
    cls=_ListByDefault,
    short_help="List, pin, unpin or export checkpoints.",
    subcommand_metavar="[TARGET] [--json] | COMMAND ...",
)
def checkpoints_command() -> None:
    """List a run's checkpoints, newest first, and the proof of each (`list` may be left out)."""


@checkpoints_command.command("list")
@target_argument
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_command(target: str | None, as_json: bool) -> None:
    """List checkpoints in memory and on the disk, newest first; then those set aside."""
    entries = survey_aloud(request_of(find_run(target)), silent=as_json).entries
    if as_json:
        click.echo(json_text([entry.as_json() for entry in entries]))
        return
    if not entries:
        echo("No checkpoints yet.")
        return
    rows: list[tuple[str, ...]] = [
        ("checkpoint", "step", "epoch", "kind", "tier", "size", "valid", "proof", "")
    ]
    rows += [_row(entry) for entry in entries]
    click.echo(table(rows, right=frozenset({1, 2, 5})))
    for entry in entries:
        if entry.reason:
            is_aside = entry.tier == Tier.SET_ASIDE
            where = f" (it is in {shown_path(entry.path.parent)})" if is_aside else ""
            echo(strip_controls(f"{entry.name}: {entry.reason}{where}"))


@checkpoints_command.command("pin")
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def pin_command(path: str, as_json: bool) -> None:
    """Keep the checkpoint at PATH for good: pruning passes it over."""
    checkpoint, paths = _of_run(path)
    if not checkpoint.exists():
        raise SupervisorError(
            f"{checkpoint}: does not exist",
            hint="`supervisor checkpoints` lists the checkpoints of a run",
            code=ExitCode.USAGE,
        )
    pin(paths.pins, checkpoint.name)
    _say(as_json, {"path": str(checkpoint), "pinned": True}, f"pinned {checkpoint.name}")


@checkpoints_command.command("unpin")
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def unpin_command(path: str, as_json: bool) -> None:
    """Let the checkpoint at PATH be pruned again."""
    checkpoint, paths = _of_run(path)
    was = unpin(paths.pins, checkpoint.name)
    text = f"unpinned {checkpoint.name}" if was else f"{checkpoint.name} was not pinned"
    _say(as_json, {"path": str(checkpoint), "pinned": False}, text)


@checkpoints_command.command("export")
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("destination", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export_command(path: Path, destination: str, as_json: bool) -> None:
    """Copy the checkpoint at PATH to DESTINATION; check the original and the copy.

    If DESTINATION is a directory or ends in a slash, the copy goes into it.
    """
    if "/" not in str(path) and not path.exists():
        path = _of_run(str(path))[0]
    place = Path(destination)
    if destination.endswith("/") and not place.exists():
        place /= path.name
    target = place / path.name if place.is_dir() else place
    if path.is_dir() and any((place / inside.name).exists() for inside in path.iterdir()):
        # Copied into an existing checkpoint, this one would mix with it.
        raise SupervisorError(
            f"{place} is a checkpoint already", hint="give another DESTINATION", code=ExitCode.USAGE
        )
    verdict = export(path, place)
    if verdict.valid is not True:
        raise SupervisorError(
            f"{path}: not copied: {verdict.reason}",
            hint="`supervisor checkpoints` shows which checkpoints are valid",
            code=ExitCode.HELD,
        )
    body = {"path": str(target.absolute()), "bytes": verdict.bytes, "proof": verdict.proof}
    size = size_text(verdict.bytes)
    _say(as_json, body, f"copied to {target} ({size}), proven by {verdict.proof}")


def _say(as_json: bool, body: dict[str, Any], text: str) -> None:
    """The answer for a machine or for a person."""
    click.echo(json_text(body, indent=None)) if as_json else echo(text)


def _row(entry: CheckpointEntry) -> tuple[str, ...]:
    """One line of the table."""
    valid = {True: "yes", False: "NO", None: "?"}[entry.valid]
    marks = [
        mark
        for mark, is_so in (
            ("pinned", entry.pinned),
            ("best", entry.best),
            ("not finite", entry.finite is False),
            ("not of this run", not entry.own_run),
        )
        if is_so
    ]
    return (
        strip_controls(entry.name),
        count_text(entry.step),
        count_text(entry.epoch),
        entry.kind or "-",
        entry.tier.replace("_", " "),
        size_text(entry.bytes),
        valid,
        entry.proof or "-",
        ", ".join(marks),
    )


def _of_run(path: str) -> tuple[Path, RunPaths]:
    """A checkpoint by path or name, and the run it belongs to. Raises SupervisorError."""
    given = Path(path).expanduser()
    if "/" not in path.rstrip("/") and not given.exists():
        paths = RunPaths(find_run(None))
        named = [directory / path for directory in directories(paths)]
        return next((one for one in named if os.path.lexists(one)), named[-1]), paths
    checkpoint = Path(os.path.abspath(given))  # noqa: PTH100 -- keeps links
    for parent in checkpoint.parents:
        if is_run(parent):
            return checkpoint, RunPaths(parent)
    for run_dir in [*runs_below(Path()), *(record.paths.run_dir for record in live_runs())]:
        if checkpoint.parent in directories(RunPaths(run_dir)):
            return checkpoint, RunPaths(run_dir)
    raise SupervisorError(
        f"{checkpoint}: belongs to no run that is known here",
        hint="call the command in the directory of the run, or give only the checkpoint's name",
        code=ExitCode.USAGE,
    )

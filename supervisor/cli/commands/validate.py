"""`supervisor validate`: proves one checkpoint; exit 0 valid, 1 not."""

from pathlib import Path

import click

from supervisor.checkpoint.validate import validate
from supervisor.cli.show.formatting import count_text, size_text
from supervisor.cli.show.terminal import echo, json_text, strip_controls


@click.command("validate", short_help="Check one checkpoint.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate_command(path: Path, as_json: bool) -> None:
    """Check the checkpoint at PATH, a directory or a single file. Nothing in it is executed.

    Exits 0 if the checkpoint is valid, 1 if it is not valid or cannot be read.
    """
    verdict = validate(path)
    if as_json:
        body = {
            "path": str(path.absolute()),
            "valid": verdict.valid,
            "proof": verdict.proof,
            "reason": verdict.reason,
            "step": verdict.step,
            "epoch": verdict.epoch,
            "kind": verdict.kind,
            "bytes": verdict.bytes,
            "finite": verdict.finite,
            "hashes": dict(verdict.hashes),
        }
        click.echo(json_text(body))
    else:
        word = {True: "valid", False: "NOT valid", None: "not proven"}[verdict.valid]
        facts = [size_text(verdict.bytes)] if verdict.bytes else []
        if verdict.step is not None:
            facts.insert(0, f"step {count_text(verdict.step)}")
        if verdict.proof is not None and verdict.valid:
            facts.append(f"proven by {verdict.proof}")
        text = f"{path}: {word}" + (f" ({', '.join(facts)})" if facts else "")
        reason = f": {strip_controls(verdict.reason)}" if verdict.reason else ""
        echo(text + reason)
    if verdict.valid is not True:
        raise SystemExit(1)

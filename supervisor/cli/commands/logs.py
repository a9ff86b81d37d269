"""`supervisor logs`: what the trainer printed, without control sequences."""

import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

import click

from supervisor.cli.record import RunRecord, read_record
from supervisor.cli.show.log_parts import LogPart, all_parts, last_lines, newest_part, part_of
from supervisor.cli.show.log_view import LogView
from supervisor.cli.target import find_run, target_argument
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.rundir.paths import RunPaths

_BLOCK_BYTES = 1 << 16
_LOOK_EVERY_S = 0.25
_FOLLOWED_LINES = 20


@click.command("logs", short_help="What the trainer printed.")
@target_argument
@click.option(
    "-f", "--follow", is_flag=True, help="Print new lines as they come, until the run ends."
)
@click.option(
    "--attempt", type=click.IntRange(min=1), help="Print only the output of this attempt."
)
@click.option("-n", "--lines", type=click.IntRange(min=0), help="Print only this many last lines.")
def logs_command(target: str | None, follow: bool, attempt: int | None, lines: int | None) -> None:
    """Print the trainer's log: with -f that of the last attempt, else that of all attempts.

    The output has no control sequences; the file itself (train.log) keeps them. Of a progress bar
    only the last state is shown; with -f, each state.
    """
    run_dir = find_run(target)
    paths = RunPaths(run_dir)
    pid = _trainer(read_record(run_dir))
    if attempt is not None:
        parts = [part_of(paths, attempt, pid)]
    else:
        parts = [newest_part(paths, pid)] if follow else all_parts(paths, pid)
    if not follow and not any(part.path.exists() for part in parts):
        raise SupervisorError(
            f"{paths.train_log}: the trainer has printed nothing yet", code=ExitCode.USAGE,
            hint="`supervisor status` says whether the trainer was started",
        )  # fmt: skip
    if lines is None and follow and attempt is None:
        lines = _FOLLOWED_LINES
    if lines is not None:
        parts = last_lines(parts, lines)
    goes_on = follow and parts[-1].end is None
    view = LogView(sys.stdout, follows=goes_on)
    try:
        for part in parts[:-1] if goes_on else parts:
            _print(part, view)
            view.end()
        if goes_on:
            _follow(run_dir, parts[-1], view)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _trainer(record: RunRecord) -> int | None:
    """The pid of the running trainer: its log may have been deleted, and be open only there."""
    return record.status.pids.trainer if record.live else None


def _print(part: LogPart, view: LogView) -> None:
    try:
        with part.path.open("rb") as file:
            _read_on(file, part.start, view, end=part.end)
    except FileNotFoundError:
        return  # the file is just being replaced


def _read_on(file: BinaryIO, offset: int, view: LogView, *, end: int | None = None) -> int:
    """Show the file from an offset on; returns the offset behind the last byte shown."""
    file.seek(offset)
    while block := file.read(_BLOCK_BYTES if end is None else min(_BLOCK_BYTES, end - offset)):
        offset += len(block)
        view.feed(block)
    return offset


def _follow(run_dir: Path, part: LogPart, view: LogView) -> None:
    """Show the log and follow it, until no supervisor has the run."""
    paths = RunPaths(run_dir)
    file: BinaryIO | None = None
    offset = part.start
    known: tuple[object, object] | None = None
    try:
        while True:
            # Look at the run before reading the log. So the trainer's last lines are read even if
            # the run ends in between.
            record = read_record(run_dir)
            file = file or _opened(part.path)
            if file is not None:
                if os.fstat(file.fileno()).st_size < offset:
                    offset = 0  # truncated
                    view.end()
                offset = _read_on(file, offset, view)
                view.settle()
            if not record.live:
                break
            named = record.status.attempt, _identity(paths.train_log)
            if named != known:  # only then: `newest_part` reads the ledger, which may be long
                known, part = named, newest_part(paths, _trainer(record))
                if file is not None and _identity(part.path) != _identity(file.fileno()):
                    view.end()
                    file.close()
                    file, offset = None, 0
                    continue
            time.sleep(_LOOK_EVERY_S)
    finally:
        if file is not None:
            file.close()
    view.end()


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except OSError:
        return None  # the log does not exist yet, or is just being replaced


def _identity(file: Path | int) -> tuple[int, int] | None:
    try:
        facts = os.stat(file)  # noqa: PTH116 -- follows links in /proc, and takes descriptors
    except OSError:
        return None
    return facts.st_dev, facts.st_ino

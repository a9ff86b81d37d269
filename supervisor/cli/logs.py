"""`supervisor logs`: what the trainer printed, without what would steer the reader's terminal."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from supervisor.cli.record import read_record
from supervisor.cli.target import find_run, target_argument
from supervisor.cli.terminal import strip_controls
from supervisor.errors import ExitCode, SupervisorError
from supervisor.ledger import read_ledger
from supervisor.paths import RunPaths

_BLOCK_BYTES = 1 << 16
_LOOK_EVERY_S = 0.25


@click.command("logs", short_help="What the trainer printed.")
@target_argument
@click.option("-f", "--follow", is_flag=True, help="Go on as the log grows, until the run ends.")
@click.option("--attempt", type=click.IntRange(min=1), help="Only what this attempt printed.")
@click.option("-n", "--lines", type=click.IntRange(min=0), help="Only the last so many lines.")
def logs_command(target: str | None, follow: bool, attempt: int | None, lines: int | None) -> None:
    """Print the trainer's log: of the last attempt with -f, else of all.

    Control sequences are taken out; the file itself (train.log) is as the trainer wrote it.
    """
    run_dir = find_run(target)
    paths = RunPaths(run_dir)
    if not paths.train_log.exists() and not follow:
        raise SupervisorError(
            f"{paths.train_log}: nothing was printed yet", code=ExitCode.USAGE,
            hint="`supervisor status` says whether the trainer was started",
        )  # fmt: skip
    start, end = (0, None) if attempt is None else _span(paths, attempt)
    if lines is None and follow and attempt is None:
        lines = 20
    if lines is not None:
        start = max(start, _start_of_last(paths.train_log, lines, start, end))
    try:
        for line in _lines(run_dir, start, end, follow=follow and end is None):
            sys.stdout.write(strip_controls(line) + "\n")
            if follow:
                sys.stdout.flush()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _span(paths: RunPaths, attempt: int) -> tuple[int, int | None]:
    """Where an attempt's output begins and ends in the log. Raises SupervisorError."""
    offsets = {
        entry["attempt"]: entry.get("log_offset")
        for entry in read_ledger(paths.ledger)
        if entry.get("type") == "attempt_started" and isinstance(entry.get("attempt"), int)
    }
    start = offsets.get(attempt)
    if not isinstance(start, int):
        known = f"attempts on record: 1 to {max(offsets)}" if offsets else "none was started yet"
        raise SupervisorError(
            f"attempt {attempt} is not on record", hint=known, code=ExitCode.USAGE
        )
    later = [offset for n, offset in offsets.items() if n > attempt and isinstance(offset, int)]
    return start, min(later, default=None)


def _start_of_last(log: Path, lines: int, start: int, end: int | None) -> int:
    """The offset of the last `lines` lines of a part of the log, read from its end."""
    try:
        with log.open("rb") as file:
            position = end if end is not None else file.seek(0, os.SEEK_END)
            block = b""
            while position > start and block.count(b"\n") <= lines:
                step = min(_BLOCK_BYTES, position - start)
                position -= step
                file.seek(position)
                block = file.read(step) + block
    except FileNotFoundError:
        return start
    pieces = block.splitlines(keepends=True)
    return position + sum(len(piece) for piece in (pieces[:-lines] if lines else pieces))


def _lines(run_dir: Path, start: int, end: int | None, *, follow: bool) -> Iterator[str]:
    """Lines of a part of the log; when following, also those to come until nobody has the run."""
    log = RunPaths(run_dir).train_log
    offset, rest, inode = start, b"", -1
    while True:
        # Before reading, so that what was printed last is read after the end is known.
        live = follow and read_record(run_dir).live
        try:
            fact = log.stat()
            if inode not in (-1, fact.st_ino) or fact.st_size < offset:
                offset, rest = 0, b""  # rotated or truncated
            inode = fact.st_ino
            with log.open("rb") as file:
                file.seek(offset)
                while block := file.read(
                    _BLOCK_BYTES if end is None else min(_BLOCK_BYTES, end - offset)
                ):
                    offset += len(block)
                    *whole, rest = (rest + block).split(b"\n")
                    yield from (line.decode("utf-8", "replace") for line in whole)
        except FileNotFoundError:
            pass  # not yet there, or just being replaced
        if not live:
            break
        time.sleep(_LOOK_EVERY_S)
    if rest:
        yield rest.decode("utf-8", "replace")

"""Lets a start wait while a run beside it has not yet named the directory that both may share.

Trainers such as HF's name their output directory as training begins. Until then no record tells
whether a second command would save into the same one.
"""

import time
from pathlib import Path

from supervisor.cli.preflight.expected_trainer import expected_trainer
from supervisor.cli.show.advice import shown_path
from supervisor.cli.show.terminal import echo
from supervisor.cli.start.handover import Start
from supervisor.cli.start.shared_output import (
    RunBeside,
    may_save_alike,
    refuse_shared_output,
    runs_beside_of,
)
from supervisor.cli.start.start_lock import StartLock, is_stop_pending
from supervisor.cli.start.typed_line import TypedLine
from supervisor.config.model import RunConfig
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.rundir.lock import is_held
from supervisor.rundir.status_file import read_status

PATIENCE_S = 300.0
_LOOK_S = 0.5


def start_alone(start: Start, line: TypedLine, *, quiet: bool) -> StartLock:
    """The lock for a new run's start, once it is known whether another run saves where it would.

    Where the user allowed that, nothing is waited for. Raises SupervisorError: 78 where one does,
    75 where that stays unknown or a stop is asked for.
    """
    if start.take_over or start.existing == "use":
        return StartLock.acquire(Path.cwd())
    run_dir = start.paths.run_dir
    deadline, is_told = time.monotonic() + PATIENCE_S, False
    while True:
        lock = StartLock.acquire(Path.cwd())
        refuse_shared_output(run_dir, line)
        other = starting_beside(run_dir, line)
        if other is None:
            return lock
        lock.release()
        is_stopped = is_stop_pending()
        if is_stopped or time.monotonic() > deadline:
            raise _refusal(run_dir, other, is_stopped=is_stopped)
        if not is_told and not quiet:
            echo(
                f"{run_dir.name}: waits until the run {other.name!r} has named its output"
                " directory: it may be the same"
            )
        is_told = True
        time.sleep(_LOOK_S)


def starting_beside(run_dir: Path, line: TypedLine) -> RunBeside | None:
    """A run that starts now, and may name the directory that this command would save into."""
    for other in runs_beside_of(run_dir):
        if other.places or not may_save_alike(other, line.command) or not is_held(other.paths):
            continue
        trainer = expected_trainer(RunConfig(command=other.command, cwd=other.cwd))
        if trainer is not None and trainer.is_adapted and not _has_begun(other):
            return other
    return None


def _has_begun(other: RunBeside) -> bool:
    """Whether it has made a step: a trainer that names a directory has named it by then."""
    status = read_status(other.paths.status)
    return status is not None and status.step is not None


def _refusal(run_dir: Path, other: RunBeside, *, is_stopped: bool) -> SupervisorError:
    where = shown_path(other.paths.run_dir)
    why = "a stop was asked for" if is_stopped else f"after {PATIENCE_S:g} s it has not"
    return SupervisorError(
        f"{run_dir.name}: waited until the run {other.name!r} names its output directory, which may"
        f" be the same, and {why}; nothing was started",
        hint=f"type the line again when `supervisor status {where}` shows a step, or give the"
        " command another output directory by the trainer's own option, such as `--output_dir`",
        code=ExitCode.PREEMPTED,
    )

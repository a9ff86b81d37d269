"""Lets a start wait while a run beside it has not yet named the directory that both may share.

Trainers such as HF's name their output directory as training begins. Until then no record tells
whether a second command would save into the same one. What is not known refuses no start: the run
warns once its directory is known to be another's.
"""

import time
from pathlib import Path

from supervisor.cli.preflight.expected_trainer import expected_trainer
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
from supervisor.core.vocabulary import ExitCode, RunState
from supervisor.errors import SupervisorError
from supervisor.rundir.lock import is_held
from supervisor.rundir.status_file import read_status

PATIENCE_S = 30.0
_LOOK_S = 0.5
# Such a run names nothing before its next attempt, which may be hours away.
_PAUSES = (RunState.BACKOFF, RunState.WAITING)


def start_alone(
    start: Start, line: TypedLine, *, quiet: bool, patience_s: float = PATIENCE_S
) -> StartLock:
    """The lock for a new run's start, once it is known whether another run saves where it would.

    Where the user allowed that, nothing is waited for. After `patience_s` the start goes on, and
    says so. Raises SupervisorError: 78 where another run saves there, 75 where a stop is asked for.
    """
    if start.take_over or start.existing == "use":
        return StartLock.acquire(Path.cwd())
    run_dir = start.paths.run_dir
    deadline, is_told = time.monotonic() + patience_s, False
    while True:
        lock = StartLock.acquire(Path.cwd())
        refuse_shared_output(run_dir, line)
        other = starting_beside(run_dir, line)
        if other is None:
            return lock
        if is_stop_pending():
            lock.release()
            raise _refusal(run_dir, other)
        if time.monotonic() >= deadline:
            if not quiet:
                echo(
                    f"{run_dir.name}: the run {other.name!r} has not named its output directory"
                    f" after {patience_s:g} s, so this run starts beside it; if the directory is"
                    " the same, the terminal and `supervisor status` warn"
                )
            return lock
        lock.release()
        if not is_told and not quiet:
            echo(
                f"{run_dir.name}: waits up to {patience_s:g} s until the run {other.name!r} has"
                " named its output directory: it may be the same"
            )
        is_told = True
        time.sleep(_LOOK_S)


def starting_beside(run_dir: Path, line: TypedLine) -> RunBeside | None:
    """A run that starts now, and may name the directory that this command would save into."""
    for other in runs_beside_of(run_dir):
        if other.places or not may_save_alike(other, line.command) or not is_held(other.paths):
            continue
        trainer = expected_trainer(RunConfig(command=other.command, cwd=other.cwd))
        if trainer is not None and trainer.is_adapted and _names_soon(other):
            return other
    return None


def _names_soon(other: RunBeside) -> bool:
    """Whether its attempt has made no step: a trainer that names a directory has done so by then.

    Not of a run that pauses before its next attempt.
    """
    status = read_status(other.paths.status)
    return status is None or (status.step is None and status.state not in _PAUSES)


def _refusal(run_dir: Path, other: RunBeside) -> SupervisorError:
    return SupervisorError(
        f"{run_dir.name}: a stop was asked for while this start waited until the run"
        f" {other.name!r} names its output directory, which may be the same; nothing was started",
        hint="type the line again, or give the command another output directory by the trainer's"
        " own option, such as `--output_dir`",
        code=ExitCode.PREEMPTED,
    )

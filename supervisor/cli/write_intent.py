"""Writes what the operator wants into a run's intent file, for the daemon or the next `run`."""

from pathlib import Path

from supervisor.cli.show.advice import shell_word
from supervisor.core.vocabulary import ExitCode, Intent
from supervisor.errors import SupervisorError
from supervisor.rundir.intent import write_intent
from supervisor.rundir.paths import RunPaths


def say_intent(run_dir: Path, intent: Intent) -> None:
    """Write the intent durably. Raises SupervisorError where it cannot be written."""
    path = RunPaths(run_dir).intent
    try:
        write_intent(path, intent)
    except PermissionError:
        raise SupervisorError(
            f"{path}: not writable for you",
            hint="only the owner of the run directory may stop, hold and resume the run",
            code=ExitCode.CONFIGURATION,
        ) from None
    except IsADirectoryError:
        raise SupervisorError(
            f"{path}: is a directory, but must be a file",
            hint=f"rmdir {shell_word(str(path))}",
            code=ExitCode.CONFIGURATION,
        ) from None
    except OSError as error:
        raise SupervisorError(
            f"{path}: the command could not be recorded: {error.strerror}",
            hint="free some space, or send SIGTERM to `supervisor run` instead",
        ) from None

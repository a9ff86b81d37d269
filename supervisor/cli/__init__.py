"""The `supervisor` command. Subcommands are imported when called: `status` must stay quick."""

import errno
import io
import os
import signal
import sys
from typing import NoReturn

from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError


def main() -> NoReturn:
    """Run the command line in `sys.argv` and exit with the codes of `ExitCode`."""
    import click

    from supervisor.cli.group import supervisor

    for stream in (sys.stdout, sys.stderr):
        # A file's name may be no text: as `\udcff` it can be printed, and JSON reads it back.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = supervisor.main(prog_name="supervisor", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        # click's own answer would be 1, which means that a run is held.
        code = 128 + signal.SIGINT
    except SupervisorError as error:
        code = complain(error.message, error.hint, error.code)
    except BrokenPipeError:
        # The reader went away (`supervisor events | head`): no error, and nothing more to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror or error}"
        hint = "ulimit -n 1024" if error.errno == errno.EMFILE else None
        code = complain(text, hint, ExitCode.INTERNAL)
    except Exception as error:
        code = _fail(error)
    sys.exit(code)


def complain(message: str, hint: str | None, code: int) -> int:
    """Say on stderr what happened and what to type next; returns the code."""
    from supervisor.cli.show.terminal import strip_controls

    lines = [f"error: {strip_controls(message, keep_lines=True)}"]
    if hint:
        lines.append(f"hint: {strip_controls(hint, keep_lines=True)}")
    print("\n".join(lines), file=sys.stderr)
    return int(code)


def _fail(error: Exception) -> int:
    """An error of ours: say where it is, since the user can only report it."""
    import traceback

    if os.environ.get("SUPERVISOR_DEBUG"):
        traceback.print_exception(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename}:{frame.lineno}"
    return complain(
        f"the supervisor itself failed: {type(error).__name__}: {error} ({place})",
        "SUPERVISOR_DEBUG=1 before the command shows the traceback; please report it with that",
        ExitCode.INTERNAL,
    )

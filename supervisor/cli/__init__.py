"""The `supervisor` command. Subcommands are imported when called: `status` must stay quick.

`main` runs the click group of `group.py`. The group imports one file of `commands/` and calls it.
Most commands take a TARGET, which `target.py` turns into a run directory. `record.py` then reads
what the launcher and the daemon have written there. `show/` turns that into text or JSON.

A command leaves a live run to its daemon. `stop`, `hold` and `resume` write the operator's wish
into the intent file (`write_intent.py`), and the daemon reads it. Only `reload` signals a process
of a run: it sends SIGHUP to the daemon.

`run` checks the configuration and the record (`start/admission.py`), takes the lock and becomes the
launcher by exec (`start/handover.py`). `preflight/` answers the questions of `check`. `submit/`
writes the texts for systemd and SLURM.

What always holds: a failure that is expected reaches `main` as a SupervisorError, with a hint and
an exit code. Names that come from elsewhere lose their control sequences before they are printed.
"""

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
        # A file's name may hold bytes that are not UTF-8. Written as `\udcff` such a byte can be
        # printed, and JSON reads it back.
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
        # The reader went away (`supervisor events | head`). That is no error. stdout now leads to
        # /dev/null, so the flush at exit cannot fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror or error}"
        hint = (
            "run `ulimit -n 1024` in this shell, then try again"
            if error.errno == errno.EMFILE
            else None
        )
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
    """Say where the supervisor's own code failed, since the user can only report it."""
    import traceback

    if os.environ.get("SUPERVISOR_DEBUG"):
        traceback.print_exception(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename}:{frame.lineno}"
    return complain(
        f"the supervisor itself failed: {type(error).__name__}: {error} ({place})",
        "put SUPERVISOR_DEBUG=1 before the command to see the traceback; please report the error"
        " with the traceback",
        ExitCode.INTERNAL,
    )

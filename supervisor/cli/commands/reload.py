"""`supervisor reload`: ends the daemon so that a new one starts. It never signals a bare pid."""

import os
import signal
import time
from pathlib import Path

import click

from supervisor.cli.record import RunRecord, read_record
from supervisor.cli.show.terminal import echo, json_text
from supervisor.cli.target import find_run, target_argument
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.system.identity import identify, is_alive, read_stat, send_signal

_DEADLINE_S = 30.0
_LOOK_EVERY_S = 0.1


@click.command(
    "reload", short_help="Replace the daemon by the version now installed; training goes on."
)
@target_argument
@click.option("--json", "as_json", is_flag=True, help="Print the status as one JSON object.")
def reload_command(target: str | None, as_json: bool) -> None:
    """Replace the daemon by the version now installed; training goes on.

    Call it on the machine where the run lives.
    """
    run_dir = find_run(target)
    record = read_record(run_dir)
    before = _signal_daemon(record)
    deadline = time.monotonic() + _DEADLINE_S
    while (after := _daemon_of(record := read_record(run_dir))) in (None, before):
        if time.monotonic() > deadline or not record.live:
            raise SupervisorError(
                f"{record.name}: no new daemon started within {_DEADLINE_S:.0f} s",
                hint=f"look into {record.paths.log} for the cause; the trainer goes on meanwhile",
            )
        time.sleep(_LOOK_EVERY_S)
    if as_json:
        click.echo(json_text(record.as_json()))
    else:
        echo(f"{record.name}: daemon {before} replaced by {after}; training went on")


def _daemon_of(record: RunRecord) -> int | None:
    """The daemon's pid on record."""
    return record.status.pids.daemon if record.live else None


def _signal_daemon(record: RunRecord) -> int:
    """Send SIGHUP to this run's daemon and no other process; returns its pid.

    Raises SupervisorError.
    """
    if not record.live or record.owner is None:
        raise SupervisorError(
            f"{record.name}: nothing runs, so there is nothing to replace",
            hint="the next `supervisor run` starts the version now installed",
            code=ExitCode.USAGE,
        )
    if not record.owner.is_here():
        raise SupervisorError(
            f"{record.name}: the run is on {record.owner.host}, not on this machine",
            hint=f"ssh {record.owner.host} supervisor reload {record.paths.run_dir}",
            code=ExitCode.USAGE,
        )
    pid = _daemon_of(record)
    identity = identify(pid) if pid is not None else None
    if pid is None or identity is None or not is_alive(identity):
        raise _gone(record)
    # The pid on record may be another process's by now. This is checked after its start time was
    # read, so that `send_signal` notices if the pid changes hands later.
    if not _is_daemon_of(pid, record.owner.identity.pid, record.paths.run_dir):
        raise SupervisorError(
            f"{record.name}: process {pid} is not the daemon of this run",
            hint="the daemon may be starting anew: look again with"
            f" `supervisor status {record.paths.run_dir}`",
        )
    if not send_signal(pid, identity.start_ticks, signal.SIGHUP):
        raise _gone(record)
    return pid


def _gone(record: RunRecord) -> SupervisorError:
    return SupervisorError(
        f"{record.name}: the run has no daemon at this moment",
        hint="the launcher starts the version now installed by itself",
    )


def _is_daemon_of(pid: int, launcher_pid: int, run_dir: Path) -> bool:
    """Whether a process is the launcher's child and was started as this run's daemon."""
    facts = read_stat(pid)
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    is_child = facts is not None and int(facts[1][1]) == launcher_pid
    is_daemon = any(word.endswith(b"supervisor/daemon/__main__.py") for word in words)
    return is_child and is_daemon and os.fsencode(run_dir) in words

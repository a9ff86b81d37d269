"""`supervisor run`: checks everything, then becomes the launcher. It never trains by itself."""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import click

from supervisor.cli.preflight.descriptors import make_room
from supervisor.cli.record import read_history
from supervisor.cli.record_access import refuse_unreadable
from supervisor.cli.show.advice import shown_config, shown_path
from supervisor.cli.show.terminal import echo
from supervisor.cli.start.admission import (
    Admission,
    AdmissionVerdict,
    admit,
    refuse_bad_place,
    refuse_living_original,
    refuse_over_checkpoints,
    refuse_undecided,
)
from supervisor.cli.start.directory_owner import refuse_others_directory, take_over_unseen
from supervisor.cli.start.handover import (
    Start,
    become_launcher,
    detach,
    make_directories,
    record,
    report_failure,
    take_lock,
)
from supervisor.cli.start.living_launcher import refuse_living
from supervisor.cli.submit.single_line import refuse_other_bytes
from supervisor.cli.target import is_run
from supervisor.config.load import load_config
from supervisor.core.entries.entry import Entry
from supervisor.core.vocabulary import ExitCode
from supervisor.diagnosis.rules_file import read_rules
from supervisor.errors import SupervisorError
from supervisor.rundir.lock import RunLock, is_held
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status
from supervisor.system import sd_notify


@click.command("run", short_help="Keep a training run going until it is finished.")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--again", is_flag=True, help="Train on, although the run is finished.")
@click.option("--break-lock", is_flag=True, help="Take the run from a machine that is gone.")
@click.option(
    "--detach", "detached", is_flag=True, help="Run in the background, without a terminal."
)
@click.option(
    "--from-nothing",
    is_flag=True,
    help="This once, begin again although the run's checkpoints are missing.",
)
@click.option("--plain", is_flag=True, help="Print log lines instead of the live display.")
@click.option(
    "--take-over",
    is_flag=True,
    help="Take the checkpoint directory from a run that cannot be seen from here.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
def run_command(
    config: Path,
    again: bool,
    break_lock: bool,
    detached: bool,
    from_nothing: bool,
    plain: bool,
    take_over: bool,
    quiet: bool,
) -> None:
    """Keep the run of CONFIG going until it is finished.

    At SIGTERM, SIGUSR1 or Ctrl-C the trainer saves and ends; the next `run` goes on from there.
    Exit codes: 0 finished, 75 stopped (start it again later), 1 held, 69 another supervisor has the
    run, 78 wrong configuration.
    """
    # Keep a stop signal that comes during the checks: the launcher inherits it by the exec. By
    # default it would kill this process, and a scheduler would read that as a failure.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    _refuse_run_directory(config)
    loaded = load_config(config)
    resolved = loaded.config.resolved(Path.cwd())
    refuse_other_bytes(resolved)
    read_rules(resolved.diagnosis.rules)  # refuses a file that the daemon could not use
    assert resolved.run_dir is not None
    live = not (plain or quiet or detached) and _is_capable_terminal()
    start = Start(
        paths=RunPaths(Path(resolved.run_dir)),
        config=resolved,
        loaded=loaded,
        view="live" if live else "none",
        break_lock=break_lock,
        from_nothing=from_nothing,
        take_over=take_over,
    )
    refuse_bad_place(start.paths.run_dir, Path(resolved.checkpoints.directory or resolved.run_dir))
    refuse_unreadable(start.paths)
    make_room()
    admission = admit(start.paths, resolved, again=again, from_nothing=from_nothing)
    if (
        is_held(start.paths)
        and admission.verdict is not AdmissionVerdict.FINISHED
        and not break_lock
    ):
        take_lock(start)  # refuses, and names the holder
    if admission.verdict is not AdmissionVerdict.FINISHED:
        refuse_living(start.paths.run_dir)
    _leave_unless_admitted(start, admission, quiet=quiet)
    history = read_history(start.paths)[0]
    refuse_others_directory(resolved, start.paths, history, unseen_passes=take_over)
    refuse_undecided(resolved, start.paths.run_dir, history)
    make_directories(start.paths)
    if quiet:
        # The daemon's lines go to stdout; errors go to stderr and stay.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if detached:
        _run_detached(start, again=again, quiet=quiet)
    else:
        _hand_over(start, take_lock(start), again=again, quiet=quiet)


def _hand_over(start: Start, lock: RunLock, *, again: bool, quiet: bool) -> NoReturn:
    """Check again under the lock, since nobody else changes the record now; become the launcher."""
    refuse_living(start.paths.run_dir)
    refuse_living_original(start.paths, read_history(start.paths)[0])
    admission = admit(start.paths, start.config, again=again, from_nothing=start.from_nothing)
    _leave_unless_admitted(start, admission, quiet=quiet)
    if start.from_nothing:
        refuse_over_checkpoints(start.paths, start.config)
    record(start, admission, _settle_owner(start, quiet=quiet))
    become_launcher(start, lock)


def _settle_owner(start: Start, *, quiet: bool) -> list[Entry]:
    """Refuse a checkpoint directory of another run, or take it over where the user said so.

    Returns the entries to record. Raises SupervisorError.
    """
    history = read_history(start.paths)[0]
    taken: list[Entry] = []
    if start.take_over:
        taken = take_over_unseen(start.config, start.paths, history, quiet=quiet)
    if not taken:
        refuse_others_directory(start.config, start.paths, history)
    return taken


def _run_detached(start: Start, *, again: bool, quiet: bool) -> None:
    """Start in the background and say how to follow. Raises SupervisorError."""
    console = start.paths.state_dir / "console.log"
    descriptor = detach(console)
    if descriptor is not None:
        try:
            _hand_over(start, take_lock(start), again=again, quiet=quiet)
        except (Exception, SystemExit) as error:
            report_failure(descriptor, error)
    where = shown_path(start.paths.run_dir)
    echo(
        f"{start.config.name}: the run goes on in the background\n"
        f"  supervisor status {where}\n"
        f"  supervisor logs -f {where}\n"
        f"  supervisor stop {where}"
    )


def _leave_unless_admitted(start: Start, admission: Admission, *, quiet: bool) -> None:
    """Return where the run may start; else exit with the code of the verdict."""
    name, where = start.config.name, shown_path(start.paths.run_dir)
    config = shown_path(start.loaded.path)
    match admission.verdict:
        case AdmissionVerdict.START:
            return
        case AdmissionVerdict.FINISHED:
            _tell_systemd(admission, "READY=1")
            if not quiet:
                echo(f"{name}: {admission.reason}; to train on: supervisor run {config} --again")
            raise SystemExit(ExitCode.FINISHED)
        case AdmissionVerdict.STOPPED:
            _tell_systemd(admission, "READY=1")
            message = f"{name}: {admission.reason}; nothing was started"
            code, hint = ExitCode.PREEMPTED, f"supervisor resume {where} && supervisor run {config}"
        case AdmissionVerdict.HELD:
            _tell_systemd(admission)
            message = f"{name}: held: {admission.reason}"
            code, hint = (
                ExitCode.HELD,
                f"`supervisor events {where}` tells what happened; when the cause is mended:\n"
                f"  supervisor resume {where} && supervisor run {config}",
            )
    raise SupervisorError(message, hint=hint, code=code)


def _tell_systemd(admission: Admission, *assignments: str) -> None:
    """Tell systemd why nothing starts. A unit that ends before READY=1 counts as failed."""
    sd_notify.notify(*assignments, f"STATUS={admission.verdict}: {admission.reason}")
    sd_notify.wait_until_heard()


def _refuse_run_directory(path: Path) -> None:
    """Refuse a run directory in place of a configuration, and name its configuration.

    Raises SupervisorError.
    """
    if not (path.is_dir() and is_run(path)):
        return
    shown = shown_config(read_status(RunPaths(path).status))
    raise SupervisorError(
        f"{path}: is a run directory; `run` needs the run's configuration",
        hint=f"supervisor run {shown}",
        code=ExitCode.CONFIGURATION,
    )


def _is_capable_terminal() -> bool:
    """Whether a live display can be drawn where this process prints."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")

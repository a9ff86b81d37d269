"""`supervisor run`: checks everything, then becomes the launcher. It never trains by itself."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from supervisor.cli.preflight.descriptors import make_room
from supervisor.cli.record import read_history
from supervisor.cli.record_access import refuse_unreadable
from supervisor.cli.show.advice import shown_path
from supervisor.cli.show.terminal import echo
from supervisor.cli.start.admission import (
    Admission,
    AdmissionVerdict,
    admit,
    refuse_bad_place,
    refuse_living_original,
    refuse_missing_cwd,
    refuse_over_checkpoints,
)
from supervisor.cli.start.bare import without_adapters
from supervisor.cli.start.changed_variables import changed_variables
from supervisor.cli.start.command_run import CommandRun, claim, command_run
from supervisor.cli.start.command_words import refuse_words
from supervisor.cli.start.correction import refuse_changed, write_correction
from supervisor.cli.start.directory_owner import refuse_others_directory, take_over_unseen
from supervisor.cli.start.existing import CHOICES, decide, with_existing
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
from supervisor.cli.start.run_forms import RunCommand, refuse_no_configuration, refuse_other_forms
from supervisor.cli.start.shared_output import refuse_shared_output, shared_output
from supervisor.cli.start.typed_line import TypedLine, typed_line
from supervisor.cli.start.unnamed_output import start_alone
from supervisor.cli.submit.single_line import refuse_other_bytes
from supervisor.config.load import load_config
from supervisor.core.entries.entry import Entry
from supervisor.core.vocabulary import ExitCode
from supervisor.diagnosis.rules_file import read_rules
from supervisor.errors import SupervisorError
from supervisor.rundir.lock import RunLock, is_held
from supervisor.rundir.paths import RunPaths
from supervisor.system import sd_notify


@click.command("run", cls=RunCommand, short_help="Keep a training run going until it is finished.")
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--again", is_flag=True, help="Train on, although the run is finished.")
@click.option("--bare", is_flag=True, help="This once, without the start-up hook and its adapters.")
@click.option("--break-lock", is_flag=True, help="Take the run from a machine that is gone.")
@click.option(
    "--detach", "detached", is_flag=True, help="Run in the background, without a terminal."
)
@click.option(
    "--existing",
    type=click.Choice(CHOICES),
    help="What to do with checkpoints from before the run's first start.",
)
@click.option(
    "--from-nothing",
    is_flag=True,
    help="This once, begin again although the run's checkpoints are missing.",
)
@click.option(
    "--name",
    metavar="NAME",
    help="The run's name. auto: the command's name, with what differs from the run of that name.",
)
@click.option("--plain", is_flag=True, help="Print log lines instead of the live display.")
@click.option(
    "--take-over",
    is_flag=True,
    help="Take the checkpoint directory from a run that cannot be seen from here; of a new COMMAND,"
    " also from a finished run.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
@click.pass_context
def run_command(
    ctx: click.Context,
    config: Path | None,
    again: bool,
    bare: bool,
    break_lock: bool,
    detached: bool,
    existing: str | None,
    from_nothing: bool,
    name: str | None,
    plain: bool,
    take_over: bool,
    quiet: bool,
) -> None:
    """Keep the run of COMMAND, or of CONFIG, going until it is finished.

    The first start of COMMAND writes its configuration to runs/NAME/config.yaml. The same line,
    typed again, goes on with the run. NAME is that of the script, module or tool.

    At SIGTERM, SIGUSR1 or Ctrl-C the trainer saves and ends; the next `run` goes on from there.
    Exit codes: 0 finished, 75 stopped (start it again later), 1 held, 69 another supervisor has the
    run, 78 wrong configuration.
    """
    # Keep a stop signal that comes during the checks: the launcher inherits it by the exec. By
    # default it would kill this process, and a scheduler would read that as a failure.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    line = typed_line(ctx)
    refuse_other_forms(ctx, config, line, name)
    live = not (plain or quiet or detached) and _is_capable_terminal()
    while True:  # until no other `run` takes the name between the look and the claim
        if config is None:
            refuse_words(line)
            run = command_run(line, name)
        else:
            refuse_no_configuration(config)
            run = CommandRun(load_config(config), is_new=False)
        resolved = run.loaded.config.resolved(Path.cwd())
        assert resolved.run_dir is not None
        start = Start(
            paths=RunPaths(Path(resolved.run_dir)),
            config=without_adapters(resolved) if bare else resolved,
            loaded=run.loaded,
            view="live" if live else "none",
            break_lock=break_lock,
            from_nothing=from_nothing,
            take_over=take_over,
            corrects=run.corrects,
            existing=existing,
        )
        try:
            if run.is_to_be_written and existing != "use":
                # Told to take over, the run has a finished run's directory once its trainer names
                # it; what is there is not resumed from.
                if not take_over:
                    refuse_shared_output(start.paths.run_dir, line)
                elif shared_output(start.paths.run_dir, line.command) is not None:
                    start = replace(start, existing="use")
            start = _checked(start, line, again=again, quiet=quiet)
        except SupervisorError:
            if run.is_new and os.path.lexists(run.loaded.path):
                continue
            raise
        # Held until the launcher has the run: its exec closes the descriptor.
        starting = start_alone(start, line, quiet=quiet) if run.is_to_be_written else None
        if claim(run, line):
            break
        if starting is not None:
            starting.release()
    if run.is_to_be_written and not quiet:
        echo(f"{start.config.name}: {run.told}")
    make_directories(start.paths)
    if quiet:
        # The daemon's lines go to stdout; errors go to stderr and stay.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if detached:
        _run_detached(start, again=again, quiet=quiet)
    else:
        _hand_over(start, take_lock(start), again=again, quiet=quiet)


def _checked(start: Start, line: TypedLine, *, again: bool, quiet: bool) -> Start:
    """Refuse what cannot start, before anything is written; what a question decides is added."""
    paths, config = start.paths, start.config
    refuse_other_bytes(config)
    read_rules(config.diagnosis.rules)  # refuses a file that the daemon could not use
    refuse_bad_place(paths.run_dir, Path(config.checkpoints.directory or paths.run_dir))
    refuse_missing_cwd(config)
    refuse_unreadable(paths)
    make_room()
    admission = _admission(start, again=again)
    is_finished = admission.verdict is AdmissionVerdict.FINISHED
    if is_held(paths) and not is_finished and not start.break_lock:
        take_lock(start)  # refuses, and names the holder
    if not is_finished:
        refuse_living(paths.run_dir)
    _leave_unless_admitted(start, admission, quiet=quiet)
    history = read_history(paths)[0]
    config = with_existing(config, history, start.existing)
    refuse_others_directory(config, paths, history, unseen_passes=start.take_over)
    may_ask = sys.stdin.isatty() and sys.stderr.isatty() and not quiet
    decided = decide(config, paths.run_dir, history, line, may_ask=may_ask)
    config = with_existing(config, history, decided)
    choice = config.resume.existing
    is_news = choice is not None and choice not in (start.config.resume.existing, history.existing)
    return replace(start, config=config, existing=choice if is_news else None)


def _admission(start: Start, *, again: bool) -> Admission:
    return admit(
        start.paths,
        start.config,
        again=again,
        from_nothing=start.from_nothing,
        is_corrected=start.corrects is not None,
    )


def _hand_over(start: Start, lock: RunLock, *, again: bool, quiet: bool) -> NoReturn:
    """Check again under the lock, since nobody else changes the record now; become the launcher."""
    refuse_living(start.paths.run_dir)
    refuse_living_original(start.paths, read_history(start.paths)[0])
    refuse_changed(start)
    admission = _admission(start, again=again)
    _leave_unless_admitted(start, admission, quiet=quiet)
    if start.from_nothing:
        refuse_over_checkpoints(start.paths, start.config)
    found: list[Entry] = _settle_owner(start, quiet=quiet)
    changed = changed_variables(start.config, start.paths, os.environ)
    if changed is not None:
        found.append(changed)
        if not quiet:
            echo(f"{start.config.name}: {changed.text}")
    write_correction(start)
    record(start, admission, found)
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


def _is_capable_terminal() -> bool:
    """Whether a live display can be drawn where this process prints."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")

"""`supervisor sbatch`: submits a run as a SLURM job, and tells how to follow it."""

import shutil
import subprocess
import sys
from pathlib import Path

import click

from supervisor.cli.config_target import config_argument, find_config
from supervisor.cli.record import read_history
from supervisor.cli.record_access import refuse_unreadable
from supervisor.cli.show.advice import shown_path
from supervisor.cli.show.terminal import echo, json_text
from supervisor.cli.start.admission import (
    AdmissionVerdict,
    admit,
    refuse_bad_place,
    refuse_missing_cwd,
)
from supervisor.cli.start.directory_owner import refuse_others_directory
from supervisor.cli.start.existing import refuse_undecided, with_existing
from supervisor.cli.start.handover import make_directories
from supervisor.cli.submit.batch_script import BatchScript, script_text
from supervisor.cli.submit.single_line import refuse_other_bytes
from supervisor.cli.submit.slurm_options import option_value, time_limit_problem
from supervisor.config.load import load_config
from supervisor.config.model import RunConfig
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.rundir.lock import holder, is_held
from supervisor.rundir.paths import RunPaths
from supervisor.slurm.controller import OVER, queue_state
from supervisor.slurm.submission import Submission, recall, remember

_SUBMIT_S = 60.0


@click.command(
    "sbatch",
    short_help="Submit a run as a SLURM job that is requeued and resumes.",
    # \b: click prints the lines as they are.
    epilog="\b\nExample:"
    "\n  supervisor sbatch config.yaml -- --partition=gpu --gres=gpu:1 --time=24:00:00",
)
@config_argument
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--print", "only_print", is_flag=True, help="Print the script, and submit nothing.")
@click.option(
    "--chain", type=click.IntRange(1), metavar="N",
    help="Submit N jobs, one after another, for a site that does not allow requeues.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def sbatch_command(
    config: Path | None,
    options: tuple[str, ...],
    only_print: bool,
    chain: int | None,
    as_json: bool,
) -> None:
    """Submit CONFIG as a batch job. Put OPTIONS for sbatch after `--`.

    Without CONFIG it is that of the only run below runs/.
    """
    if config is not None and str(config).startswith("-"):
        config, options = None, (str(config), *options)  # `supervisor sbatch -- --time=1:00:00`
    config = find_config(config)
    resolved = load_config(config).config.resolved(Path.cwd())
    refuse_other_bytes(resolved)
    assert resolved.run_dir is not None
    paths = RunPaths(Path(resolved.run_dir))
    refuse_unreadable(paths)
    script = _script(config, resolved, paths, options, chain)
    warning = time_limit_problem(options, script.lead_s)
    if warning:
        echo(f"warning: {warning}", err=True)
    if only_print:
        click.echo(script_text(script), nl=False)
        return
    refuse_bad_place(paths.run_dir, Path(resolved.checkpoints.directory or paths.run_dir))
    refuse_missing_cwd(resolved)
    _refuse_unless_admitted(paths, resolved, config)
    _refuse_second_job(paths)
    make_directories(paths)
    submission = _submit(script_text(script), paths)
    log = _log_of(script, submission)
    if as_json:
        body = {"job_id": submission.job_id, "cluster": submission.cluster, "log": log}
        click.echo(json_text(body))
        return
    echo(f"{resolved.name}: submitted as job {submission.job_id}\n{_next(paths, log)}")


def _script(
    config: Path, resolved: RunConfig, paths: RunPaths, options: tuple[str, ...], chain: int | None
) -> BatchScript:
    """The script for a run. The job uses the interpreter that runs this command."""
    # INT is always a stop, whatever `signals` says.
    signal = next((name for name in ("USR1", "TERM") if name in resolved.signals), "INT")
    return BatchScript(
        name=resolved.name,
        program=(sys.executable, "-P", "-m", "supervisor"),
        config=str(config.absolute()),
        directory=resolved.cwd or str(Path.cwd()),
        log=f"{_no_pattern(paths.run_dir)}/slurm-{'%A_%a' if chain else '%j'}.log",
        grace_s=resolved.grace,
        signal=signal,
        chain=chain,
        options=options,
    )


def _no_pattern(path: Path) -> str:
    """A path in which `%` means itself (sbatch(1), FILENAME PATTERN)."""
    return str(path).replace("%", "%%")


def _refuse_unless_admitted(paths: RunPaths, config: RunConfig, path: Path) -> None:
    """Refuse a job that would end at once: finished, stopped, held. Raises SupervisorError."""
    admission = admit(paths, config, again=False)
    where, shown = shown_path(paths.run_dir), shown_path(path)
    match admission.verdict:
        case AdmissionVerdict.START:
            history = read_history(paths)[0]
            # The job's node may see a run that this machine cannot see, so accept that case here.
            refuse_others_directory(config, paths, history, unseen_passes=True)
            refuse_undecided(with_existing(config, history), paths.run_dir, history)
        case AdmissionVerdict.FINISHED:
            echo(f"{config.name}: {admission.reason}; nothing was submitted")
            raise SystemExit(ExitCode.FINISHED)
        case AdmissionVerdict.STOPPED | AdmissionVerdict.HELD as verdict:
            code = ExitCode.PREEMPTED if verdict is AdmissionVerdict.STOPPED else ExitCode.HELD
            raise SupervisorError(
                f"{config.name}: {verdict}: {admission.reason}; nothing was submitted",
                hint=f"supervisor resume {where} && supervisor sbatch {shown}",
                code=code,
            )


def _refuse_second_job(paths: RunPaths) -> None:
    """Refuse a run that a supervisor has, or whose job is in the queue. Raises SupervisorError."""
    where = shown_path(paths.run_dir)
    if is_held(paths):
        owner = holder(paths)
        who = owner.describe() if owner else "another process"
        raise SupervisorError(
            f"{paths.run_dir}: another supervisor has this run: {who}",
            hint=f"`supervisor status {where}` shows it", code=ExitCode.LOCKED,
        )  # fmt: skip
    last = recall(paths.submission)
    state = queue_state(last.job_id) if last is not None else None
    if last is not None and state and state not in OVER:
        raise SupervisorError(
            f"{paths.run_dir}: this run has a job already: {last.job_id} ({state})",
            hint=f"`supervisor status {where}` shows it; `scancel {last.job_id}` cancels it",
            code=ExitCode.LOCKED,
        )


def _submit(text: str, paths: RunPaths) -> Submission:
    """Give the script to sbatch, and write down which job it became. Raises SupervisorError."""
    if shutil.which("sbatch") is None:
        raise SupervisorError(
            "there is no sbatch on this machine",
            hint="submit from a login node, or print the script with --print and give it to"
            " `sbatch`",
            code=ExitCode.CONFIGURATION,
        )
    try:
        done = subprocess.run(
            ["sbatch", "--parsable"], input=text, capture_output=True, text=True,
            timeout=_SUBMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SupervisorError(
            f"sbatch has not answered for {_SUBMIT_S:.0f} s",
            hint="`squeue --me` shows whether the job was submitted",
        ) from None
    if done.returncode != 0:
        raise SupervisorError(
            f"sbatch refused the job: {done.stderr.strip() or f'exit {done.returncode}'}",
            hint="put the options that your site needs after `--`; --print shows the script",
            code=ExitCode.CONFIGURATION,
        )
    for line in done.stderr.strip().splitlines():
        echo(f"sbatch: {line.removeprefix('sbatch: ')}", err=True)
    job, _, cluster = done.stdout.strip().partition(";")
    return remember(paths.submission, job, cluster or None)


def _log_of(script: BatchScript, submission: Submission) -> str:
    """The file for the job's output, with the patterns filled in that are known now."""
    pattern = option_value(script.options, "--output", "-o") or script.log
    name = pattern.replace("%j", submission.job_id).replace("%A", submission.job_id)
    return name.replace("%a", "1").replace("%%", "%")


def _next(paths: RunPaths, log: str) -> str:
    where = shown_path(paths.run_dir)
    lines = [
        (f"supervisor status {where}", "what the run does, also while its job waits in the queue"),
        (f"tail -F {shown_path(Path(log))}", "what the supervisor and the trainer print"),
        (
            f"supervisor stop {where}",
            "save and end the run, also from this node; `supervisor resume` takes it back",
        ),
    ]
    width = max(len(command) for command, _ in lines)
    return "\n".join(f"  {command:<{width}}  # {why}" for command, why in lines)

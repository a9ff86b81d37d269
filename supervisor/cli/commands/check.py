"""`supervisor check`: the preflight. It starts no training and leaves nothing behind."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from supervisor.checkpoint.how_to_resume import how_to_resume
from supervisor.checkpoint.records import CheckpointEntry, Missing
from supervisor.cli.ask_survey import request_for, survey_aloud
from supervisor.cli.config_target import config_argument, find_config, name_option
from supervisor.cli.preflight import (
    adapter,
    descriptors,
    findings,
    pattern_trial,
    recovery_outlook,
    save_interval,
    shared_memory,
    slurm_site,
)
from supervisor.cli.preflight.expected_trainer import ADAPTED, expected_trainer
from supervisor.cli.preflight.finding import Finding, Level
from supervisor.cli.preflight.hook_programs import hook_programs
from supervisor.cli.preflight.notify_targets import notify_targets
from supervisor.cli.record import read_history
from supervisor.cli.record_access import problem
from supervisor.cli.show.advice import shown_path
from supervisor.cli.show.formatting import count_text, size_text
from supervisor.cli.show.terminal import json_text, paint, strip_controls
from supervisor.cli.start import directory_owner
from supervisor.cli.start.admission import (
    AdmissionVerdict,
    admit,
    refuse_bad_place,
    refuse_missing_cwd,
)
from supervisor.cli.start.existing import with_existing
from supervisor.cli.submit.single_line import refuse_other_bytes
from supervisor.config.load import load_config
from supervisor.config.model import RunConfig
from supervisor.core.history import History
from supervisor.core.vocabulary import ExitCode, Tier
from supervisor.errors import SupervisorError
from supervisor.rundir.lock import holder, is_held
from supervisor.rundir.paths import RunPaths
from supervisor.survey.answer import Survey

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
_INDENT = " " * 20


@click.command("check", short_help="Preflight: would this configuration run here?")
@config_argument
@name_option
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
@click.option(
    "--partition", metavar="NAME", help="The SLURM partition to check, if not the default one."
)
def check_command(
    config: Path | None, name: str | None, as_json: bool, partition: str | None
) -> None:
    """Say whether CONFIG would run here, and what stands in the way.

    Without CONFIG it is that of the only run below runs/. Exits 0 if nothing stands in the way, 78
    otherwise; warnings alone do not.
    """
    config = find_config(config, name)
    loaded = load_config(config)
    resolved = loaded.config.resolved(Path.cwd())
    refuse_other_bytes(resolved)
    findings = list(_findings(config, resolved, silent=as_json))
    findings += slurm_site.findings(resolved, partition)
    findings = [one.naming(shown_path(config)) for one in findings]
    if as_json:
        body = [
            {"what": f.what, "level": str(f.level), "text": f.text, "do": f.do} for f in findings
        ]
        click.echo(json_text(body))
    else:
        for finding in findings:
            click.echo(_line(finding))
    if any(finding.level is Level.FAIL for finding in findings):
        raise SystemExit(ExitCode.CONFIGURATION)


def _findings(path: Path, config: RunConfig, *, silent: bool) -> Iterator[Finding]:
    """All answers, in the order in which a start would need them."""
    assert config.run_dir is not None
    run_dir = Path(config.run_dir)
    paths = RunPaths(run_dir)
    directory = Path(config.checkpoints.directory or run_dir)
    yield Finding("configuration", Level.OK, f"{path} (run {config.name!r})")
    host = list(findings.host_findings(config, run_dir))
    yield from host
    yield from adapter.adapter(config)
    yield from notify_targets(config)
    yield from hook_programs(config)
    yield from pattern_trial.findings(config, run_dir)
    try:
        refuse_missing_cwd(config)
    except SupervisorError as error:
        yield Finding("cwd", Level.FAIL, error.message, error.hint)
    try:
        refuse_bad_place(run_dir, directory)
    except SupervisorError:
        return  # no directory can be made there, so there is nothing to read
    if (few := descriptors.problem()) is not None:
        yield Finding(
            "descriptors", Level.FAIL, few, "run `ulimit -n 4096` in this shell, then try again"
        )
    if (refused := problem(paths)) is not None:
        yield Finding(
            "record", Level.FAIL, refused, "choose another run_dir, or ask the owner of this one"
        )
        return
    yield _record(paths, config)
    history, _ = read_history(paths)
    config = with_existing(config, history)
    undecided = findings.existing(config, directory, history.attempt)
    if undecided is not None:
        yield undecided
    yield from directory_owner.findings(config, paths, history)
    request = request_for(paths, config)
    found = survey_aloud(request, silent=silent)
    on_disk = [entry for entry in found.entries if entry.tier == Tier.DISK]
    there = [entry for entry in found.entries if entry.tier != Tier.SET_ASIDE]
    if undecided is None and found.undecided:
        yield _undecided(found)  # the directory was configured after the first attempt
    else:
        yield from _newest(there, found, history, config, path)
    yield findings.space(on_disk, config, directory)
    yield shared_memory.snapshots(on_disk, request.snapshots)
    yield findings.grace(config, run_dir)
    yield _resuming(config, found.newest_valid, history)
    yield from recovery_outlook.findings(config, history, found.newest_valid)
    yield from save_interval.findings(config)


def _undecided(found: Survey) -> Finding:
    """A started run looks into a directory with checkpoints of which nothing is decided."""
    listed = ", ".join(path.name for path in found.undecided[:3])
    text = f"there are checkpoints that this run did not make: {listed}: the run would be held"
    do = "write resume: {existing: use} or resume: {existing: ignore}"
    return Finding("existing", Level.FAIL, text, do)


def _record(paths: RunPaths, config: RunConfig) -> Finding:
    """Whether the run's record lets it start."""
    if is_held(paths):
        owner = holder(paths)
        who = owner.describe() if owner else "another process"
        return Finding("record", Level.WARN, f"a supervisor has this run: {who}")
    try:
        admission = admit(paths, config, again=False)
    except SupervisorError as error:
        return Finding("record", Level.FAIL, error.message, error.hint)
    match admission.verdict:
        case AdmissionVerdict.START:
            return Finding("record", Level.OK, "nothing stands in the way of a start")
        case AdmissionVerdict.FINISHED:
            return Finding("record", Level.OK, f"{admission.reason}; `run --again` would train on")
        case AdmissionVerdict.STOPPED | AdmissionVerdict.HELD:
            # The cause may be mended by now: the reason is what was seen then.
            text = f"{admission.verdict}, and waits for `supervisor resume`: {admission.reason}"
            do = f"if that is mended: supervisor resume {shown_path(paths.run_dir)}"
            return Finding("record", Level.WARN, text, do)


def _newest(
    entries: list[CheckpointEntry],
    found: Survey,
    history: History,
    config: RunConfig,
    path: Path,
) -> Iterator[Finding]:
    """The checkpoint that a start would resume from, and why newer ones are passed over."""
    newest_valid = found.newest_valid
    if found.missing is not None and not history.begin_again:
        yield _missing(found.missing, path)
        if newest_valid is None:
            return
    elif found.unmounted is not None and config.hooks.before_launch is not None:
        text = f"nothing is mounted on {found.unmounted}, which held them: the run would wait"
        yield Finding("checkpoint", Level.WARN, text, f"mount {found.unmounted}")
        return
    for entry in entries:
        if newest_valid is not None and entry.path == newest_valid.path:
            break
        if entry.valid is False and (entry.candidate or entry.own_run):
            text = f"{entry.name} is not valid: {entry.reason}"
            do = (
                "the start will pass over it"
                if entry.tier == Tier.MEMORY
                else "the start will set it aside"
            )
            yield Finding("checkpoint", Level.WARN, text, do)
    if newest_valid is not None:
        step = f"step {count_text(newest_valid.step)}, " if newest_valid.step is not None else ""
        facts = f"{step}{size_text(newest_valid.bytes)}, proven by {newest_valid.proof}"
        if newest_valid.tier == Tier.MEMORY:
            facts += ", in memory"
        yield Finding("checkpoint", Level.OK, f"the run resumes from {newest_valid.name} ({facts})")
        if newest_valid.reason is not None:
            said = f"{newest_valid.name}: {newest_valid.reason}"
            yield Finding("checkpoint", Level.WARN, said)
    elif not any(entry.candidate for entry in entries):
        yield _none(history, config)
    elif found.torn_first is not None:
        text = f"{found.torn_first}, the first save, was cut off: the run starts from the beginning"
        yield Finding("checkpoint", Level.OK, text)
    elif config.resume.if_none_valid == "fresh":
        yield Finding(
            "checkpoint", Level.WARN, "no checkpoint is valid: the run starts from the beginning"
        )
    else:
        yield Finding(
            "checkpoint", Level.FAIL, "no checkpoint is valid: the run would be held",
            "to start from the beginning, write resume: {if_none_valid: fresh}",
        )  # fmt: skip


def _missing(missing: Missing, path: Path) -> Finding:
    """The record names checkpoints that are missing."""
    if missing.unmounted is not None:
        text = f"{missing.sentence}: nothing is mounted on {missing.unmounted}; the run would wait"
        return Finding("checkpoint", Level.WARN, text, f"mount {missing.unmounted}")
    return Finding(
        "checkpoint", Level.FAIL, f"{missing.sentence}: the run would be held",
        f"put them back, or begin again: `supervisor run {shown_path(path)} --from-nothing`",
    )  # fmt: skip


def _none(history: History, config: RunConfig) -> Finding:
    """No checkpoint is there, and none is on record."""
    if config.resume.by == "trainer":
        return Finding("checkpoint", Level.OK, "no checkpoint seen: the trainer finds its own")
    if history.unseen is not None:
        text = f"{history.unseen}: the run would be held"
        return Finding("checkpoint", Level.FAIL, text, "write those lines into the configuration")
    return Finding("checkpoint", Level.OK, "no checkpoint yet: the run starts from the beginning")


def _resuming(config: RunConfig, newest: CheckpointEntry | None, history: History) -> Finding:
    """Whether the trainer learns where to resume: by its arguments, an adapter, or `attach()`."""
    if config.resume.args or config.resume.by == "trainer":
        how = (
            "the trainer gets the checkpoint in its arguments"
            if config.resume.args
            else "the trainer finds its checkpoint itself"
        )
        return Finding("resume", Level.OK, how)
    said = "" if history.described is None else history.described.framework or ""
    if said.partition(" ")[0] in ADAPTED:
        return Finding("resume", Level.OK, f"the adapter for {said} resumes from the checkpoint")
    if history.ever_attached and not said:
        return Finding("resume", Level.OK, "the trainer attaches: it learns where to resume")
    tool = expected_trainer(config)
    if tool is not None and tool.is_adapted and config.integrate != "none":
        text = f"the adapter resumes {tool.name} ({tool.why})"
        return Finding("resume", Level.OK, text)
    known = None if newest is None else how_to_resume(newest.path, newest.hashes)
    return Finding(
        "resume", Level.WARN,
        "the trainer gets the checkpoint only in SUPERVISOR_RESUME_FROM. If it does not call "
        "attach() either, the run is held rather than started over its checkpoints",
        (
            'write resume: {args: [--resume, "{checkpoint}"]} or'
            if known is None
            else f"for {known}; or write"
        )
        + " resume: {by: trainer}, or call attach() in the trainer",
    )  # fmt: skip


def _line(finding: Finding) -> str:
    """A finding for a person, 80 columns wide."""
    text = textwrap.fill(
        strip_controls(finding.text),
        74,  # and six for the mark
        initial_indent=f"{finding.what:<14}",
        subsequent_indent=_INDENT,
        break_on_hyphens=False,
        break_long_words=False,
    )
    mark = paint(f"{finding.level:<4}", _COLOURS[finding.level])
    lines = [f"{mark}  {text}"]
    if finding.do and finding.level is not Level.OK:
        lines.append(
            textwrap.fill(
                strip_controls(finding.do),
                80,
                initial_indent=f"{_INDENT}→ ",
                subsequent_indent=f"{_INDENT}  ",
                break_on_hyphens=False,
                break_long_words=False,
            )
        )
    return "\n".join(lines)

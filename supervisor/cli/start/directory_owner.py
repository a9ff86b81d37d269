"""Whose checkpoint directory it is. `run` refuses it or takes it over; `check` reports it."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from supervisor.checkpoint import owner_mark
from supervisor.cli.preflight.finding import Finding, Level
from supervisor.cli.show.terminal import echo
from supervisor.config.model import RunConfig
from supervisor.core.entries.entry import Entry
from supervisor.core.history import History
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.rundir.claiming import claim, took_over
from supervisor.rundir.ledger_entries import run_created
from supervisor.rundir.ownership import Claimant, Refusal, Standing, look, refusal
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.recorded_saves import RecordedSaves, merged
from supervisor.system.clock import wall_s


def refuse_others_directory(
    config: RunConfig, paths: RunPaths, history: History, *, unseen_passes: bool = False
) -> None:
    """Refuse a checkpoint directory that belongs to another run; it writes nothing.

    `unseen_passes`: accept the directory if that run cannot be seen from here. Raises
    SupervisorError (78) that names both runs.
    """
    for directory, claimant in _claimed(config, paths, history):
        found = look(directory, claimant)
        refused = refusal(found, claimant)
        if refused is None or _is_told_only(refused, claimant):
            continue
        if not (unseen_passes and found.standing is Standing.UNSEEN):
            raise SupervisorError(refused.message, hint=refused.hint, code=ExitCode.CONFIGURATION)


def take_over_unseen(
    config: RunConfig, paths: RunPaths, history: History, *, quiet: bool
) -> list[Entry]:
    """Replace the mark of a run that cannot be seen from here by this run's own.

    Only the holder of the run's lock may call it. Returns the entries to record. A run that never
    started gets its id here, since the mark names that id. Raises SupervisorError.
    """
    unseen = [
        directory
        for directory, claimant in _claimed(config, paths, history)
        if look(directory, claimant).standing is Standing.UNSEEN
    ]
    if not unseen:
        return []
    entries: list[Entry] = []
    run_id = history.run_id
    if run_id is None:
        created = run_created(config.name)
        entries, run_id = [created], created.run_id
    for directory in unseen:
        entries += _take(directory, config, _claimant(config, paths, run_id), quiet=quiet)
    return entries


def _take(
    directory: Path, config: RunConfig, claimant: Claimant, *, quiet: bool
) -> Iterator[Entry]:
    made = claim(directory, claimant, has_checkpoint=False, by_force=True)
    refused = refusal(look(directory, claimant), claimant)
    if refused is not None:
        why = f" ({made.problem})" if made.problem else ""
        message = f"{refused.message}; its mark cannot be replaced{why}"
        raise SupervisorError(message, hint=refused.hint, code=ExitCode.CONFIGURATION)
    for entry, line in took_over(made):
        yield entry
        if not quiet:
            echo(f"{config.name}: {line}")


def findings(config: RunConfig, paths: RunPaths, history: History) -> Iterator[Finding]:
    """Whose each checkpoint directory is, as findings of the preflight."""
    for directory, claimant in _claimed(config, paths, history):
        yield _finding(directory, claimant)


def _finding(directory: Path, claimant: Claimant) -> Finding:
    found = look(directory, claimant)
    refused = refusal(found, claimant)
    if refused is not None and _is_told_only(refused, claimant):
        return Finding("owner", Level.WARN, refused.message, refused.hint)
    if refused is not None:
        return Finding("owner", Level.FAIL, refused.message, refused.hint)
    weightiest = found.weightiest
    if weightiest is not None and found.standing is Standing.OVER:
        mark = weightiest.file.mark
        who = "another run" if mark is None else mark.describe()
        text = f"{found.directory}: marked by {who}, but {weightiest.why}"
        return Finding("owner", Level.WARN, text, "the start will take the directory over")
    if found.standing is Standing.OWN:
        return Finding("owner", Level.OK, f"{found.directory}: marked as this run's")
    if not _can_be_marked(found.directory):
        text = f"{found.directory}: cannot be marked as this run's: neither it nor its parent is"
        do = "make one of the two writable: until then another run may save there unnoticed"
        return Finding("owner", Level.WARN, f"{text} writable", do)
    return Finding("owner", Level.OK, f"{found.directory}: belongs to no other run")


def _is_told_only(refused: Refusal, claimant: Claimant) -> bool:
    """Whether the run trains on there, with a warning: its trainer had begun there already."""
    return refused.is_of_finished and claimant.trains_since is not None


def _can_be_marked(directory: Path) -> bool:
    """Whether the mark can be written: beside the directory, or later inside it."""
    parent = directory.parent
    if not owner_mark.is_mount_root(directory):
        while not parent.exists() and parent != parent.parent:
            parent = parent.parent  # the trainer makes what is missing
        if os.access(parent, os.W_OK | os.X_OK):
            return True
    return os.access(directory, os.W_OK | os.X_OK)


def _claimant(config: RunConfig, paths: RunPaths, run_id: str | None) -> Claimant:
    return Claimant(run_id, config.name, paths.run_dir, config.resume.existing == "use")


def _claimed(
    config: RunConfig, paths: RunPaths, history: History
) -> Iterator[tuple[Path, Claimant]]:
    """Two directories with who claims them: the run's own, and what its trainer named last."""
    own = Path(config.checkpoints.directory or paths.run_dir)
    claimant = _claimant(config, paths, history.run_id)
    yield own, claimant
    if config.configured_directory is not None:
        return
    # As the daemon has it: a short training may be on no other record than that of its saves.
    saved = RecordedSaves(paths.trainings, paths.run_dir).look()
    places = merged(history.places, saved)
    if places:
        named = paths.run_dir / places[0].path
        if named != own:
            since = history.first_attempt_wall or wall_s()
            yield named, replace(claimant, trains_since=since)

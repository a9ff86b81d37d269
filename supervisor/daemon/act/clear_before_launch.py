"""Ends processes of a dead launcher and tidies interrupted saves, before a first launch."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

from supervisor.checkpoint.commit import clean_staging
from supervisor.checkpoint.prune import finish_removals
from supervisor.core.entries.attempt import AttemptUnwatchedEntry, LeftProcess
from supervisor.core.reactions.described import entry_of
from supervisor.daemon.look.description_event import described_event
from supervisor.daemon.look.description_file import DescriptionFile
from supervisor.daemon.look.free_space import PREFIX
from supervisor.daemon.run import Run
from supervisor.launcher.termination import Survivors
from supervisor.system import journal_stream
from supervisor.system.clock import monotonic_s
from supervisor.worker.page_reading import read_pages

SIGTERM = 15
KILL_S = 10.0
MOST_FOUND = 8


def end_leftovers(run: Run) -> AttemptUnwatchedEntry | None:
    """Stop all living processes of this run, wait up to `grace`, then kill them.

    The main process had SIGTERM when its launcher died (PR_SET_PDEATHSIG). A trainer may be saving
    right now; a trainer below a shell trains on. The launcher ends leftovers only before a launch,
    and a finished run has no launch. Returns what was found and how it ended, None for nothing.
    """
    pages = run.runtime.heartbeat_dir(run.history.attempt)
    survivors = Survivors(run.run_id, None, heartbeat_dir=str(pages), grace_s=run.config.grace)
    if run.history.attempt == 0 or not survivors.is_anything_left():
        return None
    members = survivors.members()
    found = tuple(LeftProcess(pid=one.pid, comm=one.comm) for one in members[:MOST_FOUND])
    step = _last_step(run)
    names = ", ".join(f"{one.comm} (pid {one.pid})" for one in found)
    at = "" if step is None else f", at step {step}"
    run.console.say(
        f"{names} of an earlier launcher still runs{at}, and was asked to save and end (up to"
        f" {run.config.grace:.0f} s); then the run goes on from its newest checkpoint",
        journal_stream.WARNING,
    )
    run.journal.log.warning("leftovers", pids=[process.pid for process in members])
    survivors.stop(SIGTERM)
    deadline = monotonic_s() + run.config.grace
    while survivors.advance():
        if monotonic_s() >= deadline and survivors.killing_since is None:
            survivors.kill()
            deadline += KILL_S
        elif monotonic_s() >= deadline:
            return AttemptUnwatchedEntry(
                found=found, how="survives"
            )  # In D state on a broken disk: the next launch reports it.
        time.sleep(survivors.pause_s)
    how = "ended" if survivors.killing_since is None else "killed"
    return AttemptUnwatchedEntry(found=found, how=how)


def tell_end(run: Run, left: AttemptUnwatchedEntry | None) -> None:
    """Record the end of an attempt whose launcher and daemon both died before they could.

    `left`: what `end_leftovers` found of it.
    """
    number = run.history.attempt
    said = DescriptionFile(run.runtime.heartbeat_dir(number), number).look()
    if said is not None and said.is_attached:
        # What the trainer said while no daemon lived: where its last saves are.
        has = bool(read_pages(run.runtime.heartbeat_dir(number)))
        event = described_event(number, said, run.config, run.paths.run_dir, has_attached=has)
        run.journal.record(entry_of(event))
    told = left or AttemptUnwatchedEntry(how="gone")
    run.journal.record(replace(told, attempt=run.history.attempt, step=_last_step(run)))


def _last_step(run: Run) -> int | None:
    """The highest step that the attempt's heartbeat pages show."""
    pages = read_pages(run.runtime.heartbeat_dir(run.history.attempt))
    return max((page.step for page in pages if page.step is not None), default=None)


def tidy(run: Run) -> None:
    """Finish interrupted removals and remove half-written saves. Nothing may be running."""
    own, *named = run.surveyor.directories
    _tidy_in(own, run, is_own=True)
    for directory in named:
        _tidy_in(directory, run, is_own=False)


def _tidy_in(directory: Path, run: Run, *, is_own: bool) -> None:
    """`is_own`: no trainer named it, so that half-written saves there are this run's."""
    refused = run.directory_claim.refusal(directory)
    if refused is not None:
        run.journal.log.warning("not_tidied", directory=str(directory), error=refused)
        return
    try:
        removed = [
            *(clean_staging(directory, quiet=True) if is_own else ()),
            *finish_removals(directory, run.paths.set_aside),
        ]
    except OSError as error:
        run.journal.log.warning("not_tidied", directory=str(directory), error=str(error))
        return
    # A probe for free space that was killed may have left this folder.
    shutil.rmtree(directory / f"{PREFIX}{run.run_id}", ignore_errors=True)
    if removed:
        run.journal.log.info("tidied", removed=[str(path) for path in removed])

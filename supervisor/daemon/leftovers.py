"""What a dead launcher or a killed trainer left behind, ended and tidied before a first launch."""

import time

from supervisor.checkpoint.commit import clean_staging
from supervisor.checkpoint.prune import finish_removals
from supervisor.clock import monotonic_s
from supervisor.daemon.run import Run
from supervisor.launcher.survivors import Survivors

SIGTERM = 15
KILL_S = 10.0


def end_leftovers(run: Run) -> None:
    """Stop what still lives of this run, wait up to `grace`, and kill what stays.

    Its trainer had SIGTERM when the launcher died (PR_SET_PDEATHSIG) and may be saving right now.
    The launcher kills leftovers before a launch, but there may be none: the run may be finished.
    """
    pages = run.runtime.heartbeat_dir(run.history.attempt)
    survivors = Survivors(run.run_id, None, heartbeat_dir=str(pages), grace_s=run.config.grace)
    if run.history.attempt == 0 or not survivors.is_anything_left():
        return
    run.console.say("processes of an earlier launcher still live: letting them save and end")
    run.journal.log.warning("leftovers", pids=[p.pid for p in survivors.members()])
    survivors.stop(SIGTERM)
    deadline = monotonic_s() + run.config.grace
    while survivors.advance():
        if monotonic_s() >= deadline and survivors.killing_since is None:
            survivors.kill()
            deadline += KILL_S
        elif monotonic_s() >= deadline:
            return  # In a broken disk's D state: a launch says it.
        time.sleep(survivors.pause_s)


def tidy(run: Run) -> None:
    """With nothing running: finish removals that were interrupted, remove half-written saves."""
    directory = run.surveyor.directory
    refused = run.directory_claim.refusal()
    if refused is not None:
        run.journal.log.warning("not_tidied", directory=str(directory), error=refused)
        return
    try:
        removed = [
            *clean_staging(directory, quiet=True),
            *finish_removals(directory, run.paths.set_aside),
        ]
    except OSError as error:
        run.journal.log.warning("not_tidied", directory=str(directory), error=str(error))
        return
    if removed:
        run.journal.log.info("tidied", removed=[str(path) for path in removed])

"""What a dead launcher left behind is let save and end before anything new is launched."""

import time

from supervisor.clock import monotonic_s
from supervisor.daemon.run import Run
from supervisor.launcher.survivors import Survivors

SIGTERM = 15


def end_leftovers(run: Run) -> None:
    """Stop what still lives of this run, waiting up to `grace`; the launcher kills what stays.

    Its trainer had SIGTERM when the launcher died (PR_SET_PDEATHSIG) and may be saving right now.
    """
    survivors = Survivors(run.run_id, None)
    if run.history.attempt == 0 or not survivors.is_anything_left():
        return
    run.console.say("processes of an earlier launcher still live: letting them save and end")
    run.journal.log.warning("leftovers", pids=[p.pid for p in survivors.members()])
    survivors.stop(SIGTERM)
    deadline = monotonic_s() + run.config.grace
    while survivors.advance() and monotonic_s() < deadline:
        time.sleep(survivors.pause_s)

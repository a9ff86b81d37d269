"""What the attempts before the next one have cost, written for its trainer before its launch."""

import json
from pathlib import Path

from supervisor.core.states import Checkpoint
from supervisor.daemon.run import Run
from supervisor.system.durable import replace_file
from supervisor.worker.adapters import ATTEMPTS_BEFORE


def tell_attempts_before(
    run: Run, attempt: int, heartbeat_dir: Path, checkpoint: Checkpoint | None
) -> None:
    """Write the attempt's number, the steps lost so far, and what the last attempt died of.

    A directory that refuses costs the trainer's tracker these facts, and nothing else.
    """
    if checkpoint is not None:
        begins_at = checkpoint.step
    else:
        begins_at = None if run.config.resume.by == "trainer" else 0
    lost = 0 if attempt == 1 else run.tally.lost_steps(begins_at)
    told = {"attempt": attempt, "lost_steps": lost, "last_failure": run.tally.last_failure}
    try:
        replace_file(heartbeat_dir / ATTEMPTS_BEFORE, json.dumps(told).encode(), sync=False)
    except OSError as error:
        run.journal.log.warning("attempts_before_not_told", error=str(error))

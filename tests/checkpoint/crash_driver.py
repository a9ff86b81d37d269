"""Kills a commit before and after each of its system calls; prints what each kill left as JSON."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from supervisor.checkpoint import records, survey
from supervisor.checkpoint.commit import CheckpointWriter, clean_staging

CALLS = (
    "open",
    "mkdir",
    "rename",
    "fsync",
    "write",
    "unlink",
    "rmdir",
    "readv",
    "close",
    "scandir",
)


def write(parent: Path, step: int, attempt: int) -> None:
    """One small checkpoint."""
    with CheckpointWriter(
        parent, f"checkpoint-{step}", step=step, epoch=0, run_id="run", attempt=attempt
    ) as writer:
        with writer.open("model.pt") as file:
            file.write(b"%d" % attempt * 1000)
        with writer.open("training_state.json") as file:
            file.write(b'{"global_step": %d, "current_epoch": 0, "format": 1}' % step)
        writer.commit()


def arm(at: int, after: bool) -> Callable[[], int]:
    """Let the n-th call be this process's last; the result tells how many there were."""
    count = 0

    def wrap(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == at and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **options)
            if count == at and after:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in CALLS:
        setattr(os, name, wrap(getattr(os, name)))
    return lambda: count


def main(root: Path, occupied: bool) -> None:
    """Sweep, until a commit gets through unharmed."""
    for at in range(1, 1000):
        for after in (False, True):
            parent = root / f"{at}-{after}"
            write(parent, 400, 1)
            if occupied:
                write(parent, 500, 1)
            pid = os.fork()
            if pid == 0:
                calls = arm(at, after)
                write(parent, 500, 2)
                # A call that raised has no "after".
                os._exit(0 if calls() < at else 1)
            _, status = os.waitpid(pid, 0)
            left = sorted(os.listdir(parent))
            clean_staging(parent)
            found = survey.survey(records.SurveyRequest(parent, run_id="run", quiet=True))
            newest = found.newest_valid
            report = {
                "killed": os.WIFSIGNALED(status),
                "left": left,
                "cleaned": sorted(os.listdir(parent)),
                "newest": None if newest is None else newest.step,
                "invalid": [entry.name for entry in found.entries if entry.valid is False],
            }
            print(json.dumps(report))
            shutil.rmtree(parent)
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
                return


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "occupied")

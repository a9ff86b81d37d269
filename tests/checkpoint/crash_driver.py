"""Kill a writer before and after each of its system calls; print what each kill left as JSON."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from supervisor.checkpoint import pointers, set_aside
from supervisor.checkpoint.commit import CheckpointWriter, clean_staging
from supervisor.survey import survey
from supervisor.survey.request import SurveyRequest

CALLS = (
    "open",
    "mkdir",
    "rename",
    "fsync",
    "write",
    "symlink",
    "fchmod",
    "unlink",
    "rmdir",
    "readv",
    "close",
    "scandir",
)


def write(parent: Path, step: int, attempt: int) -> None:
    """Write one small checkpoint."""
    with CheckpointWriter(
        parent, f"checkpoint-{step}", step=step, epoch=0, run_id="run", attempt=attempt
    ) as writer:
        with writer.open("model.pt") as file:
            file.write(b"%d" % attempt * 1000)
        with writer.open("training_state.json") as file:
            file.write(b'{"global_step": %d, "current_epoch": 0, "format": 1}' % step)
        writer.commit()


def arm(at: int, after: bool) -> Callable[[], int]:
    """Kill this process at its n-th call; the returned function tells how many calls there were."""
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
    """Kill a commit at each of its calls in turn, until one commit ends unharmed."""
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
                # After a call that raised, the process lives: there is no kill "after" that call.
                os._exit(0 if calls() < at else 1)
            _, status = os.waitpid(pid, 0)
            left = sorted(os.listdir(parent))
            clean_staging(parent)
            found = survey.survey(SurveyRequest(parent, run_id="run", quiet=True))
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


def move_aside(root: Path, run_root: Path, *, is_blocked: bool) -> None:
    """Kill the daemon at each call of setting a checkpoint aside and correcting its pointers.

    `is_blocked`: a file has the name of the folder beside the checkpoint directory.
    """
    for at in range(1, 1000):
        parent = root / "saves" / str(at)
        for step in (400, 500):
            write(parent, step, 1)
        if is_blocked:
            parent.with_name(f".{parent.name}.set-aside").touch()
        (parent / "latest").write_text("checkpoint-500\n")
        (parent / "latest.link").symlink_to("checkpoint-500")
        roots = set_aside.roots_of(parent, run_root)
        pid = os.fork()
        if pid == 0:
            calls = arm(at, after=False)
            put_aside_the_last(parent, roots)
            os._exit(0 if calls() < at else 1)
        _, status = os.waitpid(pid, 0)
        request = SurveyRequest(parent, "run", quiet=True, set_aside=run_root)
        report = {
            "killed": os.WIFSIGNALED(status),
            "whole": [[one.name, one.tier, one.valid] for one in survey.survey(request).entries],
            "said": said(parent),
        }
        put_aside_the_last(parent, roots)
        clean_staging(parent, quiet=True)
        (place,) = (one for one in survey.survey(request).entries if one.tier == "set_aside")
        report |= {
            "healed": said(parent),
            "place": str(place.path.parent),
            "left": sorted(os.listdir(parent)),
        }
        print(json.dumps(report))
        for folder in (*roots, parent):
            shutil.rmtree(folder, ignore_errors=True)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return


def said(parent: Path) -> list[str]:
    """What the two pointers name."""
    return [(parent / "latest").read_text(), os.readlink(parent / "latest.link")]


def put_aside_the_last(parent: Path, roots: tuple[Path, ...]) -> None:
    """Set checkpoint-500 aside and correct the pointers, as the daemon does before a launch."""
    if (parent / "checkpoint-500").exists():
        set_aside.put_aside(parent / "checkpoint-500", set_aside.INVALID, "why", roots=roots)
    for pointer in pointers.find_pointers(parent, roots, Path.cwd()):
        pointers.correct(pointer, parent / "checkpoint-400", roots)


if __name__ == "__main__":
    if sys.argv[2] == "aside":
        move_aside(Path(sys.argv[1]), Path(sys.argv[3]), is_blocked=sys.argv[4:] == ["blocked"])
    else:
        main(Path(sys.argv[1]), sys.argv[2] == "occupied")

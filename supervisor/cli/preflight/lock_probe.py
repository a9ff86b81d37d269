"""Whether locks work where a run directory is: two processes try one. It leaves nothing there."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from supervisor.cli.preflight.finding import Finding, Level
from supervisor.system.child_end import end_child
from supervisor.system.mounts import filesystem_type, mount_options

_ANSWER_S = 20.0
# A second process, which opens the file itself. A lock held by its own process would not stop it.
_SECOND = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    for _ in range(2):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("refused", flush=True)
        else:
            print("taken", flush=True)
            fcntl.flock(file, fcntl.LOCK_UN)
        sys.stdin.readline()
"""
# Mount options that keep locks on one machine (nfs(5), mount.lustre(8)).
_LOCAL_ONLY = frozenset({"nolock", "local_lock=all", "local_lock=flock", "localflock"})


def locks(run_dir: Path) -> Finding | None:
    """Try a lock with two processes.

    None where the directory is not writable: another finding reports that.
    """
    place = run_dir
    while not place.is_dir() and place != place.parent:
        place = place.parent
    kind = filesystem_type(place) or "this file system"
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".lock-probe-") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            answers = _second(file.name, file.fileno())
    except OSError as error:
        if not os.access(place, os.W_OK):
            return None
        return Finding(
            "locks", Level.WARN,
            f"{kind} has no locks ({error.strerror}): the text in the lock file decides who has the"
            " run",
            "mount it with locks (Lustre: -o flock), or choose another run_dir",
        )  # fmt: skip
    if answers != ["refused", "taken"]:
        return Finding(
            "locks", Level.WARN,
            f"locks do not work on {kind}: a second process saw"
            f" {' and '.join(answers) or 'nothing'} where it should have been refused and then let"
            " in",
            "two supervisors could have the run at once: choose another run_dir",
        )  # fmt: skip
    local = _LOCAL_ONLY.intersection(mount_options(place))
    if local:
        return Finding(
            "locks", Level.WARN,
            f"locks hold only among processes of one machine ({kind} is mounted with"
            f" {', '.join(local)})",
            "two nodes could have the run at once: mount it so that nodes share locks",
        )  # fmt: skip
    return Finding(
        "locks",
        Level.OK,
        f"a second process is refused, then let in once the lock is free ({kind})",
    )


def _second(name: str, fd: int) -> list[str]:
    """What a second process got while this one held the lock, and afterwards. Raises OSError."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _SECOND, name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        first = child.stdout.readline()
        fcntl.flock(fd, fcntl.LOCK_UN)
        rest, _ = child.communicate("\n\n", timeout=_ANSWER_S)
    except (subprocess.TimeoutExpired, BrokenPipeError):
        end_child(child)
        return []
    return (first + rest).split()

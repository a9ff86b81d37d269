"""Who has a run: one supervisor at a time, proven by flock and by the holder's identity.

A lock is never broken for its age (design: age alone proves nothing).
"""

import fcntl
import json
import os
import shlex
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from supervisor.clock import rfc3339, wall_s
from supervisor.errors import ExitCode, SupervisorError
from supervisor.filesystem import is_network
from supervisor.identity import ProcessIdentity, current, is_alive, machine_id
from supervisor.paths import RunPaths

# What squeue prints for a job that will never run again (slurm.schedmd.com, job states).
SLURM_OVER = frozenset(
    {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL"}
)

GLANCE_S = 0.3


@dataclass(frozen=True, slots=True)
class Holder:
    """Who wrote the lock file."""

    identity: ProcessIdentity
    host: str
    slurm_job: str | None
    since: str | None = None
    """When it took the run, RFC 3339; for people, since age proves nothing."""

    def is_here(self) -> bool:
        """Whether it was a process of this machine."""
        return self.identity.machine_id == machine_id() and self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Whether the process is there, as far as this machine can see."""
        return self.is_here() and is_alive(self.identity)

    def describe(self) -> str:
        """For a message: `pid 4242 on gpu01 (SLURM job 17)`."""
        job = f" (SLURM job {self.slurm_job})" if self.slurm_job else ""
        return f"pid {self.identity.pid} on {self.host}{job}"

    def describe_with_time(self) -> str:
        """The same with `, since 2026-01-02T03:04:05.678Z`."""
        return self.describe() + (f", since {self.since}" if self.since else "")


def holder(paths: RunPaths) -> Holder | None:
    """Who wrote the lock last; None where nobody did or the file cannot be understood."""
    try:
        data = json.loads(paths.lock.read_bytes())
        identity = ProcessIdentity(
            str(data["machine_id"]),
            str(data["boot_id"]),
            int(data["pid"]),
            int(data["start_ticks"]),
        )
        return Holder(identity, str(data["host"]), data.get("slurm_job"), data.get("since"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_held(paths: RunPaths) -> bool:
    """Whether a supervisor has the run now: by flock, or by a holder that is seen alive."""
    try:
        fd = os.open(paths.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # A file system without flock (ENOLCK): the identity below decides alone.
    finally:
        os.close(fd)
    owner = holder(paths)
    return owner is not None and owner.is_alive()


@dataclass(frozen=True, slots=True)
class RunLock:
    """A lock that is ours while `fd` stays open in some process."""

    fd: int
    path: Path

    @classmethod
    def acquire(cls, paths: RunPaths, *, break_lock: bool = False) -> "RunLock":
        """Take the run, or raise SupervisorError with code 69 that names the holder."""
        fd = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _lock_exclusively(fd):
                raise _refusal(paths, holder(paths))
            owner = holder(paths)
            if owner is not None and not break_lock and _may_be_alive(owner, paths):
                raise _refusal(paths, owner)
            _write_holder(fd)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, paths.lock)

    @classmethod
    def take_over(cls, paths: RunPaths, fd: int, launcher_pid: int) -> "RunLock":
        """Go on with the lock of a dead launcher, whose descriptor this process shares.

        Raises SupervisorError with code 69 where another one has the run: a file system without
        flock, on which only the holder's name tells.
        """
        owner = holder(paths)
        if owner is not None and owner.identity.pid != launcher_pid:
            raise _refusal(paths, owner)
        _write_holder(fd)
        return cls(fd, paths.lock)


def _lock_exclusively(fd: int) -> bool:
    deadline = time.monotonic() + GLANCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # `is_held` takes a shared lock for an instant, so one refusal proves nothing.
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
            continue
        except OSError:
            return True  # ENOLCK: no flock on this file system; the identity decides alone.
        return True


def _may_be_alive(owner: Holder, paths: RunPaths) -> bool:
    if owner.identity == current():
        return False
    if owner.is_alive():
        return True
    if owner.is_here() or not is_network(paths.state_dir):
        # Gone from this machine; or the file system is local, where our flock proves it.
        return False
    return not (owner.slurm_job and _slurm_job_is_over(owner.slurm_job))


def _slurm_job_is_over(job: str) -> bool:
    command = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False  # Unknown is not over.
    if answer.returncode != 0:
        return "Invalid job id" in answer.stderr
    states = set(answer.stdout.split())
    return bool(states) and states <= SLURM_OVER


def _refusal(paths: RunPaths, owner: Holder | None) -> SupervisorError:
    who = owner.describe_with_time() if owner else "another process"
    if owner is not None and owner.is_here() and not owner.is_alive():
        who = f"the daemon of {who}, which has ended"
    run_dir = shlex.quote(str(paths.run_dir))
    hint = f"`supervisor status {run_dir}` shows it, `supervisor stop {run_dir}` ends it"
    if owner is not None and not owner.is_here():
        hint += "; if that machine is gone for good: `supervisor run CONFIG --break-lock`"
    return SupervisorError(
        f"{paths.run_dir}: another supervisor has this run: {who}", hint=hint, code=ExitCode.LOCKED
    )


def _write_holder(fd: int) -> None:
    # In place, not by rename: the flock belongs to this inode.
    me = current()
    body = {
        "host": socket.gethostname(),
        "machine_id": me.machine_id,
        "boot_id": me.boot_id,
        "pid": me.pid,
        "start_ticks": me.start_ticks,
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "since": rfc3339(wall_s()),
    }
    data = json.dumps(body).encode() + b"\n"
    os.pwrite(fd, data, 0)
    os.ftruncate(fd, len(data))
    os.fsync(fd)

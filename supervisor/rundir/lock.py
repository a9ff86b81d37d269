"""Who has a run: one supervisor at a time, proven by flock and by the holder's identity.

A lock is never broken for its age (design: age alone proves nothing).
"""

import fcntl
import json
import os
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.rundir.paths import RunPaths
from supervisor.system.clock import rfc3339, wall_s
from supervisor.system.identity import ProcessIdentity, current, is_alive, machine_id
from supervisor.system.mounts import is_network
from supervisor.system.small_file import read_small_file

GLANCE_S = 0.3


class Jobs(Protocol):
    """What a scheduler knows of jobs; the lock does not know which scheduler it is."""

    def own(self) -> tuple[str, int] | None:
        """Job of this process and how often it was requeued; None outside of one."""

    def is_over(self, job: str) -> bool:
        """Whether that job has certainly ended."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who wrote the lock file."""

    identity: ProcessIdentity
    host: str
    slurm_job: str | None
    since: str | None = None
    """When it took the run, RFC 3339; for people, since age proves nothing."""
    slurm_restart: int | None = None
    """How often that job had been requeued when it took the run."""

    def is_here(self) -> bool:
        """Whether the holder is a process of this machine."""
        return self.identity.machine_id == machine_id() and self.host == os.uname().nodename

    def is_alive(self) -> bool:
        """Whether the holder's process lives, as far as this machine can see."""
        return self.is_here() and is_alive(self.identity)

    def describe(self) -> str:
        """For a message: `pid 4242 on gpu01 (SLURM job 17)`."""
        job = f" (SLURM job {self.slurm_job})" if self.slurm_job else ""
        return f"pid {self.identity.pid} on {self.host}{job}"

    def describe_with_time(self) -> str:
        """The same with `, since 2026-01-02T03:04:05.678Z`."""
        return self.describe() + (f", since {self.since}" if self.since else "")


def holder(paths: RunPaths) -> Holder | None:
    """Who wrote the lock file last; None where it is missing or cannot be understood."""
    try:
        data = json.loads(read_small_file(paths.lock))
        identity = ProcessIdentity(
            str(data["machine_id"]),
            str(data["boot_id"]),
            int(data["pid"]),
            int(data["start_ticks"]),
        )
        restart = data.get("slurm_restart")
        count = int(restart) if restart is not None else None
        return Holder(identity, str(data["host"]), data.get("slurm_job"), data.get("since"), count)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
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
    """The lock of a run, held as long as `fd` stays open in some process."""

    fd: int
    path: Path

    @classmethod
    def acquire(
        cls, paths: RunPaths, *, break_lock: bool = False, jobs: Jobs | None = None
    ) -> "RunLock":
        """Take the run, or raise SupervisorError with code 69 that names the holder.

        `jobs` is asked whether the holder's job has ended, where that was on another machine.
        """
        fd = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _lock_exclusively(fd):
                raise _refusal(paths, holder(paths))
            owner = holder(paths)
            if owner is not None and not break_lock and _may_be_alive(owner, paths, jobs):
                raise _refusal(paths, owner)
            _write_holder(fd, jobs)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, paths.lock)

    @classmethod
    def take_over(
        cls, paths: RunPaths, fd: int, launcher_pid: int, jobs: Jobs | None = None
    ) -> "RunLock":
        """Go on with the lock of a dead launcher, whose descriptor this process shares.

        Raises SupervisorError with code 69 where another supervisor has the run. That can be on a
        file system without flock, where only the holder in the lock file tells.
        """
        owner = holder(paths)
        if owner is not None and owner.identity.pid != launcher_pid:
            raise _refusal(paths, owner)
        _write_holder(fd, jobs)
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


def _may_be_alive(owner: Holder, paths: RunPaths, jobs: Jobs | None) -> bool:
    if owner.identity == current():
        return False
    if owner.is_alive():
        return True
    if owner.is_here() or not is_network(paths.state_dir):
        # The holder is gone from this machine. Or the file system is local: our flock proves it.
        return False
    return jobs is None or not _job_is_over(owner, jobs)


def _job_is_over(owner: Holder, jobs: Jobs) -> bool:
    job, own = owner.slurm_job, jobs.own()
    if job is None:
        return False
    if own is not None and own[0] == job and owner.slurm_restart is not None:
        # The holder's job was started again since, as ours: the scheduler has given that node up.
        return owner.slurm_restart < own[1]
    return jobs.is_over(job)


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


def _write_holder(fd: int, jobs: Jobs | None) -> None:
    # In place, not by rename: the flock belongs to this inode.
    me = current()
    job, restart = (jobs.own() if jobs is not None else None) or (None, None)
    body = {
        "host": os.uname().nodename,
        "machine_id": me.machine_id,
        "boot_id": me.boot_id,
        "pid": me.pid,
        "start_ticks": me.start_ticks,
        "since": rfc3339(wall_s()),
        "slurm_job": job,
        "slurm_restart": restart,
    }
    data = json.dumps(body).encode() + b"\n"
    os.pwrite(fd, data, 0)
    os.ftruncate(fd, len(data))
    os.fsync(fd)

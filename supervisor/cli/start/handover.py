"""From the command line to the launcher: directories, lock, records, and an exec.

Nothing here may decide about the run: after the exec only the launcher and the daemon are left.
"""

import errno
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import supervisor
from supervisor.cli.registry import register
from supervisor.cli.start.admission import Admission
from supervisor.config.load import LoadedConfig
from supervisor.config.model import RunConfig
from supervisor.core.entries.decision import (
    BeginAgainEntry,
    ExistingDecidedEntry,
    ReopenedEntry,
    ResumedEntry,
)
from supervisor.core.entries.entry import Entry
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.rundir.ledger import LedgerWriter
from supervisor.rundir.lock import RunLock
from supervisor.rundir.paths import RunPaths
from supervisor.slurm.lock_holder import SlurmJobs
from supervisor.system import prctl
from supervisor.system.durable import make_durably, write_durably
from supervisor.system.identity import read_stat


@dataclass(frozen=True, slots=True)
class Start:
    """The run to start, and the user's options. `config` is resolved, `loaded` as written."""

    paths: RunPaths
    config: RunConfig
    loaded: LoadedConfig
    view: str
    break_lock: bool
    from_nothing: bool = False
    take_over: bool = False
    corrects: LoadedConfig | None = None
    """What `loaded` replaces: the configuration of a run under whose name nothing was trained."""
    existing: str | None = None
    """What to do with checkpoints from before the run, where that is decided by this start."""


def make_directories(paths: RunPaths) -> None:
    """Make the run directory, and in it `.supervisor`, closed to others. Raises SupervisorError."""
    try:
        make_durably(paths.run_dir)
        make_durably(paths.state_dir, mode=0o700)
    except OSError as error:
        hint = "choose another run_dir, or make this path writable for you"
        raise write_refusal(error, f"{error.filename}: cannot be made", hint) from None


def take_lock(start: Start) -> RunLock:
    """Take the run's lock.

    Raises SupervisorError: 69 that names the holder, 78 if it cannot be written, 75 on a full disk.
    """
    try:
        return RunLock.acquire(start.paths, break_lock=start.break_lock, jobs=SlurmJobs())
    except OSError as error:
        hint = "make the run directory writable for you"
        raise write_refusal(error, str(start.paths.lock), hint) from None


def record(start: Start, admission: Admission, taken: Sequence[Entry] = ()) -> None:
    """Write the configuration for the daemon, and the entries that let the run go on.

    `taken`: the entries of `take_over_unseen`. Only the holder of the lock may call it, since the
    ledger has one writer. Raises SupervisorError.
    """
    paths = start.paths
    try:
        write_durably(paths.config, start.config.to_json().encode() + b"\n")
    except OSError as error:
        hint = "make the run directory writable for you"
        raise write_refusal(error, str(paths.config), hint) from None
    entries = [*taken]
    if admission.resumed_by is not None:
        entries.append(ResumedEntry(intent_id=admission.resumed_by))
    if start.existing is not None:
        entries.append(ExistingDecidedEntry(choice=start.existing))
    if start.from_nothing:
        entries.append(BeginAgainEntry())
    if admission.reopens:
        entries.append(ReopenedEntry())
    if entries:
        writer = LedgerWriter(paths.ledger, paths.reserve)
        try:
            if not writer.append([entry.to_json() for entry in entries]):
                raise SupervisorError(
                    f"{paths.ledger}: no space left to record the start",
                    hint="free some space and run again",
                    code=ExitCode.PREEMPTED,
                )
        finally:
            writer.close()


def write_refusal(error: OSError, what: str, hint: str) -> SupervisorError:
    """Why a start cannot write. A full disk may clear by itself (75); other causes do not (78)."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return SupervisorError(
        f"{what}: {error.strerror}",
        hint="free some space and run again" if is_full else hint,
        code=ExitCode.PREEMPTED if is_full else ExitCode.CONFIGURATION,
    )


def become_launcher(start: Start, lock: RunLock) -> NoReturn:
    """Replace this process by the launcher; the lock goes with it. Raises OSError."""
    register(start.paths.run_dir)
    if start.config.cwd is not None:
        os.chdir(start.config.cwd)  # launcher, daemon and trainer inherit it
    os.set_inheritable(lock.fd, True)
    _end_with_slurmstepd()
    package = Path(supervisor.__file__).resolve().parent
    words = [sys.executable, "-S", "-P", str(package / "launcher" / "__main__.py")]
    words += ["--run-dir", str(start.paths.run_dir), "--lock-fd", str(lock.fd)]
    words += ["--view", start.view]
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores SIGPIPE in its own process. The launcher would inherit that by the exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    environment = {**os.environ, "SUPERVISOR_CONFIG": str(start.loaded.path.absolute())}
    os.execve(sys.executable, words, environment)


def _end_with_slurmstepd() -> None:
    """Have the kernel send SIGTERM, and so cause a save, when slurmstepd dies.

    Otherwise this process would go on while SLURM starts the job anew. Raises OSError.
    """
    parent = os.getppid()
    stat = read_stat(parent)
    if stat is not None and stat[0] == "slurmstepd":
        prctl.die_with_parent(signal.SIGTERM, parent)


def detach(console: Path) -> int | None:
    """Fork a process in a session of its own, without a terminal. Returns in both processes.

    The process at the terminal gets None once the detached one has become the launcher. The
    detached process gets the descriptor for `report_failure`. Raises SupervisorError in the process
    at the terminal, with the failure that was reported.
    """
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    if (child := os.fork()) == 0:
        os.close(read_fd)
        os.setsid()
        # The second fork: a session leader could acquire a terminal by opening one.
        if os.fork() != 0:
            os._exit(0)
        log_fd = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null_fd = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null_fd, 0), (log_fd, 1), (log_fd, 2)):
            os.dup2(source, target)
        return write_fd
    os.close(write_fd)
    os.waitpid(child, 0)
    # The exec closes the pipe. Bytes that come before that are the report of a failure.
    with os.fdopen(read_fd, "rb") as pipe:
        report = pipe.read()
    if report:
        failure = json.loads(report)
        raise SupervisorError(
            failure["message"], hint=failure["hint"], code=ExitCode(failure["code"])
        )
    return None


def report_failure(descriptor: int, error: BaseException) -> NoReturn:
    """Tell the process at the terminal why the start failed, and end."""
    known = error if isinstance(error, SupervisorError) else None
    failure = {
        "message": known.message if known else f"{type(error).__name__}: {error}",
        "hint": known.hint if known else None,
        "code": int(known.code if known else ExitCode.INTERNAL),
    }
    os.write(descriptor, json.dumps(failure).encode())
    os._exit(int(known.code if known else ExitCode.INTERNAL))

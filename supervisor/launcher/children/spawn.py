"""Fork and exec of one program, with a report when it cannot start; in one thread only."""

from __future__ import annotations

import os
import signal
import socket

from supervisor.system import cgroup, prctl
from supervisor.system.json_lines import JsonLines
from supervisor.system.oom_score import share_the_oom_killer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NamedTuple, NoReturn
else:
    from supervisor.system.named_tuple import NamedTuple


class Spawned(NamedTuple):
    """A forked child; `report_fd` ends at exec, or brings the reason why there was none."""

    pid: int
    report_fd: int


class StartFailure(NamedTuple):
    """Why a program could not be started: an errno (0 if none) and a sentence."""

    errno: int
    message: str


class Program:
    """What to start and how; every path is used by the child, so a hung disk hangs only it.

    `prepare` is called in the child, and returns the argv and environment to exec with.
    """

    __slots__ = (
        "argv",
        "cgroup",
        "cwd",
        "death_signal",
        "environ",
        "ignored",
        "kept_fd",
        "log",
        "new_session",
        "null_stdin",
        "oom_eligible",
        "prepare",
        "shared_fd",
        "stdin_fd",
    )

    def __init__(
        self,
        argv: Sequence[str],
        environ: dict[str, str],
        *,
        cwd: str | None = None,
        log: str | None = None,
        null_stdin: bool = True,
        new_session: bool = True,
        death_signal: int = 0,
        kept_fd: int = -1,
        ignored: Sequence[int] = (),
        oom_eligible: bool = False,
        stdin_fd: int = -1,
        cgroup: str | None = None,
        shared_fd: int = -1,
        prepare: Callable[[], tuple[Sequence[str], dict[str, str]]] | None = None,
    ) -> None:
        self.argv = list(argv)
        self.environ = environ
        self.cwd = cwd
        self.log = log
        self.null_stdin = null_stdin
        self.new_session = new_session
        self.death_signal = death_signal
        self.kept_fd = kept_fd
        self.ignored = tuple(ignored)
        self.oom_eligible = oom_eligible
        self.stdin_fd = stdin_fd
        self.cgroup = cgroup
        self.shared_fd = shared_fd
        self.prepare = prepare


def _close_all_but(kept: Sequence[int]) -> None:
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = max(low, fd + 1)
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _reset_signals(ignored: Sequence[int]) -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            is_ignored = number in ignored
            signal.signal(number, signal.SIG_IGN if is_ignored else signal.SIG_DFL)


def _become(program: Program, launcher_pid: int, report_fd: int) -> NoReturn:
    """Run in the child: become the program, or report why not. Never returns."""
    try:
        _reset_signals(program.ignored)
        if program.cgroup is not None:
            # The child enters it before its exec, so that nothing that it starts can be outside.
            cgroup.enter(program.cgroup)
        if program.new_session:
            os.setsid()
        if program.death_signal:
            prctl.die_with_parent(program.death_signal, launcher_pid)
        if program.oom_eligible:
            share_the_oom_killer()
        if program.stdin_fd >= 0:
            os.dup2(program.stdin_fd, 0)
        elif program.null_stdin:
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
        if program.log is not None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY
            log = os.open(program.log, flags, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
        if program.prepare is not None:
            words, program.environ = program.prepare()
            program.argv = list(words)
        if program.cwd is not None:
            os.chdir(program.cwd)
        kept = [fd for fd in (program.kept_fd, program.shared_fd) if fd >= 0]
        _close_all_but([report_fd, *kept])
        for fd in kept:
            os.set_inheritable(fd, True)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(program.argv[0], program.argv, program.environ)
    except OSError as error:
        # The PATH search names its last guess; the user wrote argv[0].
        name = error.filename if isinstance(error.filename, str) else program.argv[0]
        text = f"{error.errno or 0} {error.strerror}: {name!r}"
        os.write(report_fd, text.encode("utf-8", "backslashreplace"))
    except BaseException as error:  # the child must not go on as a second launcher
        text = f"0 {type(error).__name__}: {error}"
        os.write(report_fd, text.encode("utf-8", "backslashreplace"))
    finally:
        os._exit(127)


def spawn(program: Program) -> Spawned:
    """Fork the program's process; `report_fd` (non-blocking) tells whether it started.

    Raises OSError when there can be no fork (EAGAIN, ENOMEM) or no pipe.
    """
    launcher_pid = os.getpid()
    report_fd, child_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    # Until the child has its own dispositions, a signal to it would run the launcher's handlers
    # there, and write into the launcher's wake-up pipe.
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _become(program, launcher_pid, child_fd)
    except OSError:
        os.close(report_fd)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        os.close(child_fd)
    return Spawned(pid, report_fd)


def spawn_connected(program_of: Callable[[int], Program]) -> tuple[Spawned, JsonLines]:
    """Spawn a program that inherits one end of a connection; return our end, too.

    `program_of` makes it from the number of its descriptor. Raises OSError.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    try:
        spawned = spawn(program_of(theirs.fileno()))
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return spawned, JsonLines(ours.detach())


def read_report(report_fd: int) -> StartFailure | bool:
    """Return the failure, True once exec has happened, or False while neither is known.

    A child that was killed before its exec reads as started; its end tells the rest.
    """
    try:
        data = os.read(report_fd, 4096)
    except BlockingIOError:
        return False
    if not data:
        return True
    number, _, message = data.decode("utf-8", "replace").partition(" ")
    return StartFailure(int(number), message)

"""How a training process learns that it should stop, and how its data loaders are kept out of it.

Handlers only set a flag: nothing may be saved, printed or raised in one.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
import warnings

# It is read at each step. The function of `signal` takes 3 µs more, to make an enum of it.
from _signal import getsignal  # type: ignore[import-not-found]
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from types import FrameType

from .processes import start_ticks
from .system_call import open_pidfd

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
_LAUNCHER_LOOKS_S = 1.0
_WORKERS_END_S = 5.0
_TERMINATE_EVERY_S = 0.2
# The namespace every other one descends from (PROC_PID_INIT_INO in the kernel's proc_ns.h).
_FIRST_PID_NAMESPACE = 0xEFFFFFFC


class StopSignals:
    """Flags the stop signals of the process that made this object, and of none of its children."""

    __slots__ = ("_handled", "_on_stop", "_owner_pid", "asked")

    def __init__(self, on_stop: Callable[[], None], handled: tuple[signal.Signals, ...]) -> None:
        """Take over these signals; `on_stop` runs inside the handler."""
        self.asked = False
        self._on_stop = on_stop
        self._owner_pid = os.getpid()
        self._handled: tuple[signal.Signals, ...] = ()
        self.take(handled)

    def take(self, handled: tuple[signal.Signals, ...]) -> None:
        """Take over these signals, whatever handled them before."""
        if not handled:
            return
        if threading.current_thread() is not threading.main_thread():
            warnings.warn(
                "supervisor.worker.attach() was not called in the main thread: SIGTERM and SIGUSR1 "
                "will kill this process unsaved; call attach() in the main thread",
                RuntimeWarning,
                stacklevel=6,
            )
            return
        if not self._handled:
            atexit.register(self._ignore)
        self._handled = tuple({*self._handled, *handled})
        for number in handled:
            signal.signal(number, self._note)

    def is_told_of(self, number: signal.Signals) -> bool:
        """Whether this object takes the signal; so too if the process ignores it."""
        return getsignal(number) in (self._note, signal.SIG_IGN)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._owner_pid:
            # A child forked in a way that ran no after-fork hook: die of the signal, as it should.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.asked = True
        self._on_stop()

    def _ignore(self) -> None:
        """Ignore stop signals at the end of the process: a late one must not change how it ended.

        Python puts the default dispositions back before it is gone, but only for signals with a
        Python handler: an ignored one stays ignored. All is saved by then, and the outcome written.
        """
        if os.getpid() == self._owner_pid:
            for number in self._handled:
                if signal.getsignal(number) == self._note:
                    signal.signal(number, signal.SIG_IGN)

    def let_go(self) -> None:
        """In a forked child: the default dispositions again, or terminate() could not end it."""
        self.asked = False
        for number in self._handled:
            if signal.getsignal(number) == self._note:
                is_interrupt = number == signal.SIGINT
                signal.signal(
                    number, signal.default_int_handler if is_interrupt else signal.SIG_DFL
                )
        self._handled = ()


def unhandled(
    numbers: tuple[signal.Signals, ...], tell: Callable[[str], None]
) -> tuple[signal.Signals, ...]:
    """Those of the signals that have their default action; none outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        tell("training does not run in the main thread, so a stop ends it without a save")
        return ()
    caught = _caught_by_c()
    return tuple(
        number
        for number in numbers
        if signal.getsignal(number) is signal.SIG_DFL and not caught >> (number - 1) & 1
    )


def _caught_by_c() -> int:
    """The signals that this process catches, a bit each: `getsignal` sees no handler of C code.

    `faulthandler.register` sets such a handler. Source: proc(5), SigCgt.
    """
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            line = next((line for line in file if line.startswith("SigCgt:")), "SigCgt: 0")
        return int(line.split()[1], 16)
    except (OSError, ValueError, IndexError):
        return 0


class LauncherWatch:
    """Whether the launcher still lives, looked at once a second: nothing trains unsupervised."""

    __slots__ = ("_look_at", "_pid", "_poller", "_ticks", "is_gone")

    def __init__(self, name: str | None) -> None:
        """`name` is $SUPERVISOR_LAUNCHER: `PID:START_TICKS[:PID_NAMESPACE_INODE]`."""
        self.is_gone = False
        self._look_at = float("inf")
        self._poller: select.poll | None = None
        self._pid, self._ticks, *rest = _numbers(name) or (0, 0)
        if self._pid <= 0 or not _sees_namespace(rest[0] if rest else _FIRST_PID_NAMESPACE):
            return  # in another PID namespace its number means nothing
        try:
            # No close: the descriptor lives as long as the process.
            fd = open_pidfd(self._pid)
            self._poller = select.poll()
            self._poller.register(fd, select.POLLIN)
        except ProcessLookupError:
            self.is_gone = True
            return
        except OSError:
            self._poller = None  # a sandbox without pidfd: compare start times instead
        self.is_gone = self._has_another_its_number()
        self._look_at = monotonic() + _LAUNCHER_LOOKS_S

    def _has_another_its_number(self) -> bool:
        """Whether no process has the pid by now, or one that started at another time has it."""
        try:
            return start_ticks(self._pid) != self._ticks
        except OSError:
            return False  # out of descriptors: a training must not end because of that

    @property
    def is_parent(self) -> bool:
        """Whether this process is the one that the launcher started, not one of its children."""
        return self._pid > 0 and os.getppid() == self._pid

    def look(self) -> bool:
        """Whether the launcher is gone; a system call at most once a second."""
        if not self.is_gone and monotonic() >= self._look_at:
            self._look_at = monotonic() + _LAUNCHER_LOOKS_S
            if self._poller is not None:
                self.is_gone = bool(self._poller.poll(0))
            else:
                self.is_gone = self._has_another_its_number()
        return self.is_gone


def _numbers(name: str | None) -> list[int] | None:
    parts = (name or "").split(":")
    return [int(part) for part in parts] if len(parts) in (2, 3) and _are_digits(parts) else None


def _are_digits(parts: Iterable[str]) -> bool:
    return all(part.isascii() and part.isdigit() for part in parts)


def _sees_namespace(inode: int) -> bool:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino == inode
    except OSError:
        return False


def ignore_stop_signals(_worker_id: int = 0) -> None:
    """Make a data-loader worker survive the stop signals; for `worker_init_fn`, main thread only.

    A stop sent to the whole group (`kill -- -PGID`, SLURM, Ctrl-C) must not kill the workers, or
    the trainer fails before it has saved. If they ignored all signals, the trainer's exit would
    hang: multiprocessing ends workers with SIGTERM and then joins them without a limit. So the
    sender decides, which only sigwaitinfo(2) tells: the parent's SIGTERM ends the worker.
    """
    from multiprocessing import util

    ignored = {*STOP_SIGNALS, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ignored)
    leaving = threading.Event()

    def heed_parent() -> None:
        while not leaving.is_set():
            info = signal.sigwaitinfo(ignored)
            if info.si_signo == signal.SIGTERM and info.si_pid == os.getppid():
                # Zero: torch's loader reports a worker that ended otherwise, even at shutdown.
                os._exit(0)

    thread = threading.Thread(target=heed_parent, name="stop-signals", daemon=True)
    thread.start()

    def leave() -> None:
        # A signal that woke the thread while the interpreter is being torn down would abort it.
        leaving.set()
        if thread.ident is not None:
            signal.pthread_kill(thread.ident, signal.SIGUSR1)
        thread.join()
        if _is_ending_well():
            # A spawned worker goes on to tear its interpreter down while the queue's feeder thread
            # runs. Inside torch's C++ that thread then ends by std::terminate, and the trainer is
            # told of an aborted worker. A forked worker is ended just like this.
            util._flush_std_streams()  # type: ignore[attr-defined]
            os._exit(0)

    util.Finalize(None, leave, exitpriority=-100)


def _is_ending_well() -> bool:
    """Whether this is a child of multiprocessing that is ending without an exception."""
    from multiprocessing import parent_process

    return parent_process() is not None and sys.exc_info()[0] is None


def end_workers_at_exit() -> None:
    """Make sure that the trainer's exit does not wait for workers that ignore others' signals.

    A SIGTERM that arrives while another is pending is lost. So a worker can miss its parent's when
    the group got one just before, and multiprocessing sends it once, then joins without a limit.
    """
    from multiprocessing import active_children, util

    def end_workers() -> None:
        deadline = monotonic() + _WORKERS_END_S
        while any(child.daemon for child in active_children()):
            for child in active_children():
                if child.daemon:
                    child.terminate() if monotonic() < deadline else child.kill()
                    child.join(_TERMINATE_EVERY_S)

    # Priority 0 is the last to run before multiprocessing itself terminates and joins.
    util.Finalize(None, end_workers, exitpriority=0)

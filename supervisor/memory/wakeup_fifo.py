"""What wakes the persister: a ring, the end of its service, or the loss of its directory."""

import fcntl
import os
import select
import signal
import stat
from contextlib import suppress
from pathlib import Path

from supervisor.memory.slots import SnapshotPaths
from supervisor.system.identity import ProcessIdentity, identify, is_alive
from supervisor.worker.system_call import open_pidfd

_ANSWER_BYTES = 4096
_LOST_CHECK_S = 30.0
_END_CHECK_S = 1.0


class WakeupFifo:
    """Sleeps until one of the three comes, without a timer where the kernel allows it.

    `stdin_fd`: a pipe whose end of file ends the service; `until_pid`: a process whose end does.
    Make it in the main thread: it takes SIGIO.
    """

    def __init__(self, root: Path, *, stdin_fd: int | None, until_pid: int | None) -> None:
        self.has_ended = False
        self._paths = SnapshotPaths(root)
        self._poll = select.poll()
        self._stdin_fd = stdin_fd
        self._pidfd: int | None = None
        self._wake_fd: int | None = None
        self._patience_s: float | None = None
        self._until: ProcessIdentity | None = None
        if stdin_fd is not None:
            self._poll.register(stdin_fd, select.POLLIN)
        if until_pid is not None:
            try:
                self._pidfd = open_pidfd(until_pid)
                self._poll.register(self._pidfd, select.POLLIN)
            except ProcessLookupError:
                self.has_ended = True
            except OSError:  # refused by the kernel or a sandbox: look from time to time
                self._until = identify(until_pid)
                self.has_ended = self._until is None
                self._patience_s = _END_CHECK_S

    def attach(self) -> None:
        """Take rings from now on: bytes in the directory's FIFO. Raises OSError."""
        # Opened for writing, too: else it would read as ended when the last writer closes it.
        self._wake_fd = os.open(self._paths.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll.register(self._wake_fd, select.POLLIN)
        signal.signal(signal.SIGIO, lambda *_: None)
        signal.set_wakeup_fd(self._wake_fd, warn_on_full_buffer=False)
        folder_fd = os.open(self._paths.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # SIGIO comes when a name in it is removed (F_NOTIFY in fcntl(2)), and becomes a ring by
            # the wake-up descriptor.
            fcntl.fcntl(folder_fd, fcntl.F_NOTIFY, fcntl.DN_DELETE | fcntl.DN_MULTISHOT)
        except OSError:  # a kernel without dnotify: look from time to time
            self._patience_s = self._patience_s or _LOST_CHECK_S

    @property
    def is_lost(self) -> bool:
        """Whether the directory is gone, or another one has taken its place."""
        try:
            found = self._paths.wake.lstat()
        except OSError:
            return True
        if self._wake_fd is None:
            return not stat.S_ISFIFO(found.st_mode)
        ours = os.fstat(self._wake_fd)
        return (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Sleep until something comes, take it, and tell whether it came. 0 only looks."""
        timeout_s = self._patience_s if timeout_s is None else timeout_s
        ready = self._poll.poll(None if timeout_s is None else timeout_s * 1000)
        for fd, _ in ready:
            if fd == self._wake_fd:
                self._answer(fd)
            elif fd == self._pidfd or (fd == self._stdin_fd and not os.read(fd, _ANSWER_BYTES)):
                self.has_ended = True
                self._poll.unregister(fd)
        if self._until is not None and not self.has_ended:
            with suppress(OSError):  # short of descriptors: at the next look
                self.has_ended = not is_alive(self._until)
            return bool(ready) or self.has_ended
        return bool(ready)

    @staticmethod
    def _answer(fd: int) -> None:
        try:
            while len(os.read(fd, _ANSWER_BYTES)) == _ANSWER_BYTES:
                pass
        except BlockingIOError:
            return

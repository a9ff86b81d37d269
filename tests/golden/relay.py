"""Carries the bytes between launcher and daemon, and keeps them.

`python relay.py FILE {socket_fd} COMMAND…` becomes the command, as the launcher's own child. A
child of that process carries the bytes. Each line goes to FILE behind "> " (to the daemon) or "< ".
"""

import contextlib
import os
import select
import socket
import sys
from collections.abc import Callable

Said = Callable[[bytes], list[bytes]]


def carry(
    launcher: socket.socket, daemon: socket.socket, kept: int, said: Said | None = None
) -> None:
    """Carry the bytes until an end has gone; `said` replaces a whole line by other lines."""
    other = {launcher: (daemon, b"> "), daemon: (launcher, b"< ")}
    partial = {launcher: b"", daemon: b""}
    while other:
        for source in select.select(list(other), [], [])[0]:
            target, mark = other[source]
            try:
                data = source.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                del other[source]
                try:
                    target.shutdown(socket.SHUT_WR)
                except OSError:
                    return
                continue
            *lines, partial[source] = (partial[source] + data).split(b"\n")
            os.write(kept, b"".join(mark + line + b"\n" for line in lines))
            if said is not None:
                data = b"".join(one + b"\n" for line in lines for one in said(line))
            try:
                target.sendall(data)
            except OSError:
                return


def main(said: Said | None = None) -> None:
    """Start the child that carries, and become the daemon."""
    file, fd, *command = sys.argv[1:]
    launcher = socket.socket(fileno=int(fd))
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        theirs.close()
        # Only launcher and daemon may hold the lock, so that it ends with them.
        for other in map(int, os.listdir("/proc/self/fd")):
            if other > 2 and other not in (launcher.fileno(), ours.fileno()):
                with contextlib.suppress(OSError):  # the descriptor of the listing itself
                    os.close(other)
        kept = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        carry(launcher, ours, kept, said)
        os._exit(0)
    os.dup2(theirs.fileno(), int(fd))
    os.set_inheritable(int(fd), True)
    ours.close()
    os.execv(command[0], command)


if __name__ == "__main__":
    main()

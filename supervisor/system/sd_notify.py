"""Tells systemd of the service's state by datagrams (sd_notify(3)). Stdlib only.

`notify` never blocks. Without systemd nothing is sent, so that it may be called anywhere.
"""

from __future__ import annotations

import os
import select
import socket

SOCKET = "NOTIFY_SOCKET"
WATCHDOG = "WATCHDOG_USEC"
# Variables that systemd gives its service and a trainer must not have. With NotifyAccess=all, a
# library in the trainer that says READY=1 or STOPPING=1 for itself would say it for the run.
PRIVATE = (SOCKET, WATCHDOG, "WATCHDOG_PID", "JOURNAL_STREAM")


def is_listened_to() -> bool:
    """Tell whether a service manager listens."""
    return os.environ.get(SOCKET, "")[:1] in ("/", "@")


def watchdog_s() -> float | None:
    """Return how long systemd waits for a sign of life, seconds; None if it does not."""
    value = os.environ.get(WATCHDOG, "")
    return int(value) / 1e6 if value.isdigit() and int(value) > 0 and is_listened_to() else None


def notify(*assignments: str) -> bool:
    """Send assignments such as `READY=1` as one datagram; False if it could not be delivered.

    A newline inside a value would begin another assignment, so it becomes a space.
    """
    if not assignments or not is_listened_to():
        return False
    lines = (assignment.replace("\n", " ") for assignment in assignments)
    return _send("\n".join(lines).encode("utf-8", "replace"), ())


def wait_until_heard(timeout_s: float = 5.0) -> bool:
    """Wait until systemd has acted on all that was sent (sd_notify_barrier(3)).

    Call it before an exit. systemd finds the unit of a message by the sender's cgroup in /proc, and
    a process that was reaped has none any more.
    """
    if not is_listened_to():
        return False
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    try:
        sent = _send(b"BARRIER=1", (write_fd,))
        os.close(write_fd)
        if not sent:
            return False
        poll = select.poll()
        poll.register(read_fd, 0)
        return bool(poll.poll(timeout_s * 1000))
    finally:
        os.close(read_fd)


def _send(data: bytes, descriptors: tuple[int, ...]) -> bool:
    address = os.environ[SOCKET]
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            # Not MSG_DONTWAIT: send_fds passes no flags on (Python 3.11).
            sender.setblocking(False)
            sender.connect(address)
            socket.send_fds(sender, [data], list(descriptors))
    except OSError:
        return False  # systemd is being re-executed, or its queue is full: the next datagram tells
    return True

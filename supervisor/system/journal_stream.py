"""Lines for systemd's journal carry their priority in front, `<4>…` (sd-daemon(3)); stdlib only."""

from __future__ import annotations

import os

ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6


def is_journal(fd: int) -> bool:
    """Tell whether what is written to `fd` goes to the journal (JOURNAL_STREAM, systemd.exec(5)).

    Every process that a service starts inherits the variable, also with its output elsewhere. So
    device and inode have to be the descriptor's.
    """
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    if not (device.isdigit() and inode.isdigit()):
        return False
    try:
        facts = os.fstat(fd)
    except OSError:
        return False
    return (facts.st_dev, facts.st_ino) == (int(device), int(inode))


def mark(text: str, priority: int) -> str:
    """Return the text with the priority in front of each of its lines."""
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))

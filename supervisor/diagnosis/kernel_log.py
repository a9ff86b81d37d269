"""The kernel's log, kept open: at an attempt's end only what is new since the last look is read.

Reading the whole buffer takes milliseconds, between a trainer's death and its relaunch.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

_RECORD_BYTES = 8192
_LINES_MAX = 2000
_WORDS = (b"NVRM", b"oom", b"out of memory", b"Killed process", b"I/O error", b"segfault")
# The kernel log's clock is not slewed, so it drifts from the monotonic clock.
_DRIFT_S = 2.0


class KernelLog:
    """The kernel's lines about devices, memory and disks, the last 2,000 at most.

    There are none where the kernel log may not be read (kernel.dmesg_restrict, a container).
    Source: the kernel's Documentation/ABI/testing/dev-kmsg.
    """

    def __init__(self, device: Path = Path("/dev/kmsg")) -> None:
        self._lines: deque[tuple[float, str]] = deque(maxlen=_LINES_MAX)
        try:
            self._fd = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            self._fd = -1
        self.read()

    def read(self) -> None:
        """Take in what is new."""
        for record in self._records():
            if not any(word in record for word in _WORDS):
                continue
            head, _, text = record.partition(b";")
            fields = head.split(b",")
            line = text.partition(b"\n")[0]
            if len(fields) >= 3 and fields[2].isdigit() and any(word in line for word in _WORDS):
                self._lines.append((int(fields[2]) / 1e6, line.decode("utf-8", "replace")))

    def since(self, since_s: float) -> tuple[str, ...]:
        """The lines since `since_s` (monotonic seconds)."""
        self.read()
        return tuple(line for at, line in self._lines if at >= since_s - _DRIFT_S)

    def _records(self) -> Iterator[bytes]:
        while self._fd >= 0:
            try:
                record = os.read(self._fd, _RECORD_BYTES)
            except BrokenPipeError:
                continue  # the record was overwritten: the next read gives the oldest that exists
            except OSError:
                return  # EAGAIN marks the end; any other error ends the reading too
            if not record:
                return
            yield record

    def close(self) -> None:
        """Close the device. There is nothing new from then on."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

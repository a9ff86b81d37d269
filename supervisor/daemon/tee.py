"""What the trainer prints, shown in the job's log or the journal as well. It blocks nobody."""

import os
import select
from collections.abc import Mapping, Sequence

from supervisor.diagnosis.log_line import clean

_PIPE_BUF = 4096


def is_wanted(tee: bool | None, environ: Mapping[str, str]) -> bool:
    """Whether to: as configured, by default where nobody sees a terminal (SLURM, systemd)."""
    if tee is not None:
        return tee
    return "SLURM_JOB_ID" in environ or "INVOCATION_ID" in environ


class Tee:
    """Copies lines to a descriptor that takes them at once, and counts those that it does not."""

    def __init__(self, fd: int, *, enabled: bool) -> None:
        self._fd = fd
        self._enabled = enabled
        self._dropped = 0

    def show(self, lines: Sequence[str]) -> None:
        """Show them, control sequences taken out."""
        if not self._enabled or not lines:
            return
        if self._dropped:
            note = f"[supervisor: {self._dropped} lines of train.log were left out here]"
            lines = [note, *lines]
            self._dropped = 0
        batch = b""
        for number, line in enumerate(lines):
            data = clean(line).encode("utf-8", "replace")[: _PIPE_BUF - 1] + b"\n"
            if len(batch) + len(data) > _PIPE_BUF:
                if not self._write(batch):
                    self._dropped += len(lines) - number + batch.count(b"\n")
                    return
                batch = b""
            batch += data
        if not self._write(batch):
            self._dropped += batch.count(b"\n")

    def _write(self, data: bytes) -> bool:
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        try:
            # Up to PIPE_BUF bytes a pipe that polls writable takes whole (pipe(7)).
            if not poller.poll(0):
                return False
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            self._enabled = False  # the reader is gone; train.log has it all
        return True

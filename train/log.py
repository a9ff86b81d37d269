"""Lines for people, on stdout and in train.log. A full disk must never make a log line fail."""

import os
import time
from pathlib import Path
from typing import NamedTuple


class Log:
    """Timestamped lines. Under a supervisor stdout is train.log. Alone, the trainer writes both."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._early: list[bytes] | None = []
        self.lost_lines = 0

    def open_file(self, path: Path | None) -> None:
        """Append all lines to this file, too, the earlier ones included. None: only stdout."""
        early, self._early = self._early, None
        if path is None:
            return
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self.warn(f"{path} cannot be written: {error.strerror}; the log is on stdout only")
            return
        for line in early or []:
            self._write(self._file, line)

    def say(self, text: str) -> None:
        """Write one line."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        line = f"{stamp}  {text}\n".encode(errors="replace")
        # Write straight to the descriptor. A buffered line dies with the process. A buffer that a
        # full disk refuses makes Python exit with 120.
        self._write(1, line)
        if self._file is not None:
            self._write(self._file, line)
        elif self._early is not None:
            self._early.append(line)

    def warn(self, text: str) -> None:
        """Write one line that a reader should notice."""
        self.say(f"warning: {text}")

    def _write(self, fd: int, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(fd, line) :]
        except OSError:
            # the disk is full, or nobody reads stdout
            self.lost_lines += 1


class StepReport(NamedTuple):
    """The numbers of a train.log line about one optimizer step."""

    step: int
    last_step: int
    epoch: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens_per_s: float
    eta_s: float | None

    def line(self) -> str:
        """The line. Log readers look for `step N` and `loss X` in it."""
        text = (
            f"step {self.step}/{self.last_step}  epoch {self.epoch}  loss {self.loss:.4f}"
            f"  lr {self.learning_rate:.3e}  grad norm {self.grad_norm:.3f}"
            f"  {self.tokens_per_s:,.0f} tokens/s"
        )
        return text if self.eta_s is None else f"{text}  eta {duration(self.eta_s)}"


def counted(number: int, noun: str) -> str:
    """`1 epoch`, `1,200 epochs`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """Seconds as people say them: 42s, 3m05s, 2h07m, 3d04h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


class Speedometer:
    """Steps and tokens per second of training itself: saving and evaluating do not count."""

    def __init__(self) -> None:
        self.steps = 0
        self.tokens = 0
        self._seconds = 0.0
        self._since = time.monotonic()

    def count(self, tokens: int) -> None:
        """Count a step that is done, with its tokens."""
        self.steps += 1
        self.tokens += tokens

    def pause(self) -> None:
        """Stop the clock: what comes now is not training."""
        self._seconds += time.monotonic() - self._since

    def go_on(self) -> None:
        """Start the clock again."""
        self._since = time.monotonic()

    def read(self) -> tuple[float, float]:
        """(steps/s, tokens/s) since the last reading, then start a new window."""
        self.pause()
        seconds = max(self._seconds, 1e-9)
        rates = (self.steps / seconds, self.tokens / seconds)
        self.steps = self.tokens = 0
        self._seconds = 0.0
        self.go_on()
        return rates

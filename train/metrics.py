"""metrics.jsonl: one line for each optimizer step, whatever was killed in between.

None may be missing and none there twice.
"""

import json
import math
import os
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

_WINDOW_BYTES = 1 << 16


class StepMetrics(NamedTuple):
    """One step, its numbers perhaps still on the device."""

    step: int
    epoch: int
    loss: Tensor
    learning_rate: float
    grad_norm: Tensor


class Metrics:
    """The file, and the steps that are not in it yet.

    Steps wait in memory so that a GPU is not waited for at each; before a checkpoint is committed
    they are written and synced (a checkpoint at step S means that lines 1 to S are on the disk),
    and on resuming at S later lines are cut off, to be made again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[StepMetrics] = []
        self._lines: list[bytes] = []
        self._extra: dict[int, dict[str, float]] = {}
        self.last: dict[str, Any] = {}
        self.first_non_finite: int | None = None

    def add(self, metrics: StepMetrics) -> None:
        """Take a step's numbers without waiting for the device."""
        self._waiting.append(metrics)

    def amend(self, step: int, **values: float) -> None:
        """Add values to a step's line: it was added, or `cut_after` reopened it."""
        if any(item.step == step for item in self._waiting):
            self._extra[step] = values
            return
        self._lines = [
            _to_line(json.loads(line) | values) if _step_of(line) == step else line
            for line in self._lines
        ]

    def collect(self) -> None:
        """Fetch what waits: sets `last`, and `first_non_finite` if a loss is not finite."""
        if not self._waiting:
            return
        numbers = torch.stack([torch.stack((item.loss, item.grad_norm)) for item in self._waiting])
        for item, (loss, grad_norm) in zip(self._waiting, numbers.tolist(), strict=True):
            if self.first_non_finite is None and not math.isfinite(loss):
                self.first_non_finite = item.step
            record = {
                "step": item.step,
                "epoch": item.epoch,
                "loss": loss,
                "learning_rate": item.learning_rate,
                "grad_norm": grad_norm,
            }
            self.last = record
            self._lines.append(_to_line(record | self._extra.get(item.step, {})))
        self._waiting.clear()
        self._extra.clear()

    def write(self, *, sync: bool = False) -> None:
        """Append what was collected. Raises OSError; nothing is lost then, or written twice."""
        if not self._lines and not sync:
            return
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(fd).st_size
            data = memoryview(b"".join(self._lines))
            try:
                while data:
                    data = data[os.write(fd, data) :]
            except OSError:
                os.ftruncate(fd, size)
                raise
            self._lines.clear()
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)

    def cut_after(self, step: int, *, reopen_last: bool = False) -> None:
        """Drop the lines after `step`, and a torn one. Raises OSError.

        With `reopen_last` the line of `step` itself waits again, for `amend`.
        """
        try:
            with self.path.open("r+b") as file:
                end, last = _find_cut(file, step)
                if reopen_last and _step_of(last) == step:
                    self._lines.append(last)
                    end -= len(last)
                # one call that happens or not, and needs no space on a full disk
                file.truncate(end)
                os.fsync(file.fileno())
        except FileNotFoundError:
            return


def _find_cut(file: BinaryIO, step: int) -> tuple[int, bytes]:
    """The offset after the last whole line of a step up to `step`, and that line.

    Read from the end, since a long run's file is large and what is cut off is not.
    """
    size = file.seek(0, os.SEEK_END)
    window = _WINDOW_BYTES
    while True:
        start = max(0, size - window)
        file.seek(start)
        lines = file.read(size - start).splitlines(keepends=True)
        end = size
        # the first line of a window may begin outside of it
        for line in reversed(lines[0 if start == 0 else 1 :]):
            number = _step_of(line)
            if number is not None and number <= step:
                return end, line
            end -= len(line)
        if start == 0:
            return 0, b""
        window *= 4


def _to_line(record: dict[str, Any]) -> bytes:
    # JSON has no NaN and no infinity
    safe = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    return json.dumps(safe).encode() + b"\n"


def _step_of(line: bytes) -> int | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    step = record.get("step") if isinstance(record, dict) else None
    return step if isinstance(step, int) else None

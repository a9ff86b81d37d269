"""metrics.jsonl: exactly one line for each optimizer step, even if the trainer was killed between.

No line may be missing, and none may be there twice.
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
    """The numbers of one step. The tensors may still be on the device."""

    step: int
    epoch: int
    loss: Tensor
    learning_rate: float
    grad_norm: Tensor


class Metrics:
    """The file, and the steps that are not in it yet.

    Steps wait in memory, because fetching the numbers of each step would wait for the GPU at each
    step. Before a checkpoint is committed the lines are written and synced. So a checkpoint at step
    S means that lines 1 to S are on the disk. A resume at S cuts later lines off, and training
    writes them again.
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
        """Add values to the line of a step that is not written yet.

        The step was added since the last write, or `cut_after` has reopened its line.
        """
        if any(item.step == step for item in self._waiting):
            self._extra[step] = values
            return
        self._lines = [
            _to_line(json.loads(line) | values) if _step_of(line) == step else line
            for line in self._lines
        ]

    def collect(self) -> None:
        """Fetch waiting numbers. Sets `last`, and `first_non_finite` if a loss is not finite."""
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
        """Append the collected lines. After an OSError no line is lost, and none is there twice."""
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
                # a single call that needs no space on a full disk: it succeeds or changes nothing
                file.truncate(end)
                os.fsync(file.fileno())
        except FileNotFoundError:
            return


def _find_cut(file: BinaryIO, step: int) -> tuple[int, bytes]:
    """The offset after the last whole line of a step up to `step`, and that line.

    It reads from the end, since a long run's file is large and few lines are cut off.
    """
    size = file.seek(0, os.SEEK_END)
    window = _WINDOW_BYTES
    while True:
        start = max(0, size - window)
        file.seek(start)
        lines = file.read(size - start).splitlines(keepends=True)
        end = size
        # the first line of a window may begin before the window
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

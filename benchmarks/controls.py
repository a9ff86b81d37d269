"""What a save's stall is to be seen beside: nothing saved, nothing written, and only written."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.trained import Trained
from supervisor.torch import Checkpointer

_SHARED_MEMORY = Path("/dev/shm")
_NICE = "10"
# It waits for a line and becomes dd: to start it then would be a part of the stall.
_DD = """
import os, sys
sys.stdin.readline()
os.execvp("nice", ["nice", "-n", sys.argv[1], "dd", *sys.argv[2:]])
"""


class Control:
    """Saves nothing: what is measured of it is the noise of the measurement."""

    def __init__(self, trained: Trained, directory: Path) -> None:
        pass

    def save(self) -> None:
        """Nothing."""

    def finish(self) -> Path | None:
        """Nothing was saved."""
        return None

    def load(self, path: Path) -> None:
        """There is nothing to read."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing was started."""


class Snapshot(Control):
    """Our snapshot in memory, which nobody puts onto the disk."""

    def __init__(self, trained: Trained, directory: Path) -> None:
        self._trained = trained
        self._keeper = Checkpointer(sources_of(trained), directory=directory, snapshot_steps=0)

    def save(self) -> None:
        """Into memory."""
        taken = self._keeper.snapshot(self._trained.step)
        if taken.sequence is None:
            raise RuntimeError(f"no snapshot in memory: {taken.reason}")

    def close(self) -> None:
        """The last one goes onto the disk, as ever; nobody looks at the clock any more."""
        self._keeper.close()


class Dd(Control):
    """No snapshot: dd writes as many bytes to the disk meanwhile, from memory, as a bare file."""

    def __init__(self, trained: Trained, directory: Path) -> None:
        size = sum(tensor.nbytes for tensor in trained.tensors())
        with tempfile.NamedTemporaryFile(dir=_SHARED_MEMORY, delete=False) as file:
            self._source = Path(file.name)
            for _ in range(0, size, 1 << 20):
                file.write(os.urandom(1 << 20))
        self._target = directory / ".dd"
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[str]":
        words = [f"if={self._source}", f"of={self._target}", "bs=1M", "conv=fsync", "status=none"]
        return subprocess.Popen(
            [sys.executable, "-c", _DD, _NICE, *words], stdin=subprocess.PIPE, text=True
        )

    def save(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def finish(self) -> Path | None:
        """When its bytes are durable; the next one waits for its word."""
        self._end()
        self._target.unlink()
        self._process = self._start()
        return None

    def close(self) -> None:
        """End it, and leave nothing."""
        self._process.kill()
        self._process.communicate()
        self._source.unlink()

    def _end(self) -> None:
        if self._process.wait():
            raise RuntimeError(f"dd ended with {self._process.returncode}")
        self._process.communicate()


def sources_of(trained: Trained) -> dict[str, Any]:
    """A training's state by the names of our files."""
    return {
        "model.pt": trained.model,
        "optimizer.pt": trained.optimizer,
        "scheduler.pt": trained.schedule,
    }

"""Controls beside a save's stall: nothing saved, a snapshot in memory only, and only dd's write."""

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
# The process waits for a line and then becomes dd. Starting it at the save would add to the stall.
_DD = """
import os, sys
sys.stdin.readline()
os.execvp("nice", ["nice", "-n", sys.argv[1], "dd", *sys.argv[2:]])
"""


class Control:
    """Saves nothing, so its stall is the noise of the measurement."""

    def __init__(self, trained: Trained, directory: Path) -> None:
        pass

    def save(self) -> None:
        """Do nothing."""

    def finish(self) -> Path | None:
        """Return None: nothing was saved."""
        return None

    def load(self, path: Path) -> None:
        """Raise NotImplementedError: there is nothing to read."""
        raise NotImplementedError

    def close(self) -> None:
        """Do nothing: nothing was started."""


class Snapshot(Control):
    """Our snapshot in memory, without a persister that writes it to the disk."""

    def __init__(self, trained: Trained, directory: Path) -> None:
        self._trained = trained
        self._keeper = Checkpointer(sources_of(trained), directory=directory, snapshot_steps=0)

    def save(self) -> None:
        """Take a snapshot in memory. Raises RuntimeError if there is none."""
        taken = self._keeper.snapshot(self._trained.step)
        if taken.sequence is None:
            raise RuntimeError(f"no snapshot in memory: {taken.reason}")

    def close(self) -> None:
        """Close the checkpointer, which writes the last snapshot to the disk; this is not timed."""
        self._keeper.close()


class Dd(Control):
    """No snapshot: dd writes as many bytes from memory to a bare file on the disk meanwhile."""

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
        """Tell dd to begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def finish(self) -> Path | None:
        """Wait until dd's bytes are durable, and start the next dd, which waits for its line."""
        self._end()
        self._target.unlink()
        self._process = self._start()
        return None

    def close(self) -> None:
        """Kill dd and remove its source."""
        self._process.kill()
        self._process.communicate()
        self._source.unlink()

    def _end(self) -> None:
        if self._process.wait():
            raise RuntimeError(f"dd ended with {self._process.returncode}")
        self._process.communicate()


def sources_of(trained: Trained) -> dict[str, Any]:
    """The state of a training, by the file names of our checkpoints."""
    return {
        "model.pt": trained.model,
        "optimizer.pt": trained.optimizer,
        "scheduler.pt": trained.schedule,
    }

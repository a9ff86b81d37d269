"""A loop's signs of life, as the start-up hook writes them: for scripts of test_signs_of_life."""

import json
import mmap
import os
import signal
import sys
import time
import types
import zipfile
from pathlib import Path
from typing import Any

from supervisor.worker.sign_layout import (
    COUNT,
    LAST_NS,
    LONGEST_GAP_NS,
    NEXT_SAVE,
    SIGN,
    SIGN_BYTES,
    SIGN_MAGIC,
    SIGN_PREFIX,
    SIGN_VERSION,
    STOP,
    STOP_ENDS,
    STOP_HANDLED,
    STOP_WAITS,
)

OUT = Path(os.environ["SUPERVISOR_RUN_DIR"])
ATTEMPT = int(os.environ["SUPERVISOR_ATTEMPT"])


class Signs:
    """One process's signs; with `heeds_stops` it takes SIGTERM once its next save is known."""

    def __init__(self, *, heeds_stops: bool = False) -> None:
        self._folder = Path(os.environ["SUPERVISOR_HEARTBEAT"])
        self._heeds_stops = heeds_stops
        self._is_asking = False
        pid = os.getpid()
        stat = Path("/proc/self/stat").read_text()
        ticks = int(stat.rpartition(")")[2].split()[19])
        head = SIGN.pack(
            SIGN_MAGIC, SIGN_VERSION, pid, 0, ticks, ATTEMPT, 0, 0, 0, 0, time.monotonic_ns(), 0
        )
        path = self._folder / f"{SIGN_PREFIX}{pid}"
        path.write_bytes(head.ljust(SIGN_BYTES, b"\0"))
        with path.open("r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), SIGN_BYTES)).cast("Q")

    def sign(self) -> None:
        """Give one sign of life."""
        now, words = time.monotonic_ns(), self._words
        if words[COUNT]:
            words[LONGEST_GAP_NS] = max(words[LONGEST_GAP_NS], now - words[LAST_NS])
        words[COUNT] += 1
        words[LAST_NS] = now
        if self._heeds_stops and not words[STOP] and self._next_save() is not None:
            signal.signal(signal.SIGTERM, self._on_stop)
            words[STOP] = STOP_HANDLED

    @property
    def takes_stops(self) -> bool:
        """Whether SIGTERM is handled: the next save is known."""
        return bool(self._words[STOP] == STOP_HANDLED)

    def _next_save(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self._folder / NEXT_SAVE).read_text()))
        except OSError:
            return None

    def _on_stop(self, number: int, _: types.FrameType | None) -> None:
        if self._is_asking:
            return  # the launcher's signal after SLURM's: one stop
        self._is_asking = True
        said = self._next_save() or {}
        end = time.monotonic() + 2.0
        while said.get("stop_s_monotonic") is None and time.monotonic() < end:
            time.sleep(0.02)
            said = self._next_save() or {}
        self._is_asking = False
        since = said.get("since_s_monotonic")
        is_announced = said.get("stop_s_monotonic") is not None
        if self._words[STOP] == STOP_HANDLED and is_announced and since is not None:
            due_s = since + said["interval_s"] - time.monotonic()
            if due_s < said["grace_s"]:
                self._words[STOP] = STOP_WAITS
                return
        self._words[STOP] = STOP_ENDS
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def save(step: int) -> None:
    """Save a checkpoint as torch.save makes it."""
    with zipfile.ZipFile(OUT / "saving.tmp", "w") as archive:
        archive.writestr("step/data.pkl", b"N.")
        archive.writestr("step/version", b"3")
    (OUT / "saving.tmp").replace(OUT / f"step-{step}.pt")


def resumed_step() -> int:
    """The step of the checkpoint on the command line; 0 for none."""
    return int(Path(sys.argv[2]).stem.partition("-")[2]) if "--resume" in sys.argv else 0

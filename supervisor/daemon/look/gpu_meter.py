"""Use and memory of the GPUs, asked of NVML by a child process that lives beside the daemon.

A driver that has lost its device may never answer: the daemon must not wait for it. To start a
child for each question would cost a tenth of a percent of a core.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from supervisor.core.metered_status import GpuStatus
from supervisor.system.child_end import end_child
from supervisor.system.procfs import all_pids, descend
from supervisor.worker.processes import read_stat

EVERY_S = 10.0
_ANSWER_S = 5.0
_AGAIN_S = 600.0
_DRIVER = Path("/dev/nvidiactl")


class GpuMeter:
    """What the GPUs of an attempt do; empty without a driver, or while the driver is silent."""

    def __init__(self, driver: Path = _DRIVER) -> None:
        """`driver`: the file that is there where a machine has an NVIDIA driver."""
        self.gpus: tuple[GpuStatus, ...] = ()
        self._driver = driver
        self._child: subprocess.Popen[bytes] | None = None
        self._asked_at: float | None = None
        self._due = 0.0
        self._answer = b""

    def poll(self, main_pid: int | None, now: float) -> None:
        """Take an answer, or ask for the GPUs of this process and its tree. Returns at once.

        None: no attempt runs.
        """
        if main_pid is None:
            self.close()
            return
        if self._asked_at is not None:
            self._take(now)
        elif now >= self._due and self._driver.exists():
            self._due = now + EVERY_S
            self._ask(main_pid, now)

    def close(self) -> None:
        """End the child process."""
        self.gpus, self._asked_at, self._answer = (), None, b""
        if self._child is None:
            return
        end_child(self._child)
        self._child = None

    def _ask(self, main_pid: int, now: float) -> None:
        try:
            if self._child is None:
                self._child = subprocess.Popen(
                    [sys.executable, "-P", "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    bufsize=0,
                )
                assert self._child.stdout is not None
                os.set_blocking(self._child.stdout.fileno(), False)
            assert self._child.stdin is not None
            self._child.stdin.write(b"%d\n" % main_pid)
        except OSError:
            self._give_up(now)
        else:
            self._asked_at = now

    def _take(self, now: float) -> None:
        assert self._child is not None
        assert self._child.stdout is not None
        assert self._asked_at is not None
        part = self._child.stdout.read(1 << 16)
        self._answer += part or b""
        if self._answer.endswith(b"\n"):
            self.gpus = _read(self._answer)
            self._asked_at, self._answer = None, b""
        elif part == b"" or now - self._asked_at >= _ANSWER_S:
            self._give_up(now)

    def _give_up(self, now: float) -> None:
        self.close()
        self._due = now + _AGAIN_S


def _read(answer: bytes) -> tuple[GpuStatus, ...]:
    try:
        return tuple(
            GpuStatus(int(index), percent / 100, int(used), int(total))
            for index, percent, used, total in json.loads(answer)
        )
    except (ValueError, TypeError):
        return ()


def _tree(main_pid: int) -> set[int]:
    """The process, all that descend from it, and its session."""
    stats = {pid: stat[1] for pid in all_pids() if (stat := read_stat(pid)) is not None}
    session = [pid for pid, fields in stats.items() if int(fields[3]) == main_pid]
    return set(
        descend({pid: int(fields[1]) for pid, fields in stats.items()}, [main_pid, *session])
    )


def main() -> None:
    """Answer each pid with [index, percent, used, total] of each GPU that its processes use."""
    try:
        import pynvml as nvml
    except ImportError:
        return  # the `gpu` extra is not installed
    nvml.nvmlInit()
    for line in sys.stdin.buffer:
        pids, gpus = _tree(int(line)), []
        for index in range(nvml.nvmlDeviceGetCount()):
            device = nvml.nvmlDeviceGetHandleByIndex(index)
            users = {user.pid for user in nvml.nvmlDeviceGetComputeRunningProcesses(device)}
            # In a container NVML names no processes: then every device may be the attempt's.
            if users and not users & pids:
                continue
            memory = nvml.nvmlDeviceGetMemoryInfo(device)
            percent = int(nvml.nvmlDeviceGetUtilizationRates(device).gpu)
            gpus.append([index, percent, int(memory.used), int(memory.total)])
        sys.stdout.write(json.dumps(gpus) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

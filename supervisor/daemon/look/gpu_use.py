"""How busy the GPUs of some processes are, asked of NVML in a process apart.

A driver that has lost its device may never answer: the daemon must not wait for it.
"""

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from supervisor.system.child_end import end_child

_ANSWER_S = 5.0
_MEMORY = "memory"


class BusyGpu(NamedTuple):
    """A device at work. `users`: the pids that use it; empty if NVML does not tell them."""

    name: str
    """`GPU 0 (97 %)`."""
    users: frozenset[int] = frozenset()


class GpuUse:
    """One question to NVML: call `poll` until it returns True, at once if there is no driver."""

    def __init__(self, pids: Collection[int], *, memory: bool = False) -> None:
        """`memory`: also report devices of which a process holds memory, idle or not."""
        self.busy: tuple[BusyGpu, ...] = ()
        self.is_answered = False
        self._began_at = monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        if not pids or not Path("/dev/nvidiactl").exists():
            return
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, *_words(pids, memory=memory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self.busy = (BusyGpu("the GPUs could not be asked"),)

    def poll(self) -> bool:
        """Return True once the answer is there, or once the time for it is over."""
        process = self._process
        if process is None:
            return True
        if process.poll() is None:
            if monotonic() - self._began_at < _ANSWER_S:
                return False
            self.busy = (BusyGpu("the GPUs do not answer"),)
        else:
            assert process.stdout is not None
            self.busy = _said(process.stdout.read(), process.returncode)
            self.is_answered = process.returncode == 0
        self.close()
        return True

    def close(self) -> None:
        """Kill the child process."""
        if self._process is not None:
            end_child(self._process)
            self._process = None


def _words(pids: Collection[int], *, memory: bool) -> list[str]:
    return [*([_MEMORY] if memory else []), *(str(pid) for pid in pids)]


def _said(output: bytes, code: int) -> tuple[BusyGpu, ...]:
    try:
        return tuple(
            BusyGpu(f"GPU {int(index)} ({int(percent)} %)", frozenset(map(int, users)))
            for index, percent, users in json.loads(output)
        )
    except (ValueError, TypeError):
        return (BusyGpu(f"the GPUs could not be asked (exit code {code})"),)


def main(arguments: list[str]) -> None:
    """Print the busy devices of these processes, as [index, percent, users]; none without NVML."""
    is_memory = arguments[:1] == [_MEMORY]
    pids = {int(word) for word in arguments[is_memory:]}
    try:
        import pynvml as nvml
    except ImportError:
        print("[]")  # the `gpu` extra is not installed
        return
    busy = []
    nvml.nvmlInit()
    for index in range(nvml.nvmlDeviceGetCount()):
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        users = {user.pid for user in nvml.nvmlDeviceGetComputeRunningProcesses(device)}
        percent = int(nvml.nvmlDeviceGetUtilizationRates(device).gpu)
        # In a container NVML names no processes: then every device may be the attempt's.
        if (is_memory and users & pids) or (percent and (not users or users & pids)):
            busy.append([index, percent, sorted(users)])
    print(json.dumps(busy))


if __name__ == "__main__":
    main(sys.argv[1:])

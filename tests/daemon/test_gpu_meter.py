"""The child that asks NVML. The library is a stand-in here: most machines have no GPU."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.core.metered_status import GpuStatus
from supervisor.daemon.look.gpu_meter import EVERY_S, GpuMeter
from supervisor.worker.processes import has_ended, read_stat

# Device 0 is used by the process in USER, device 1 by another, device 2 by nobody that is named.
NVML = """
import os, time
from types import SimpleNamespace as _O
def nvmlInit(): {init}
def nvmlDeviceGetCount(): return 3
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetComputeRunningProcesses(index):
    return [[_O(pid=int(os.environ["USER_PID"]))], [_O(pid=1)], []][index]
def nvmlDeviceGetMemoryInfo(index): return _O(used=10 + index, total=100)
def nvmlDeviceGetUtilizationRates(index): return _O(gpu=50 + index)
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The driver's file, and a library that the child finds."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path.cwd()}")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    monkeypatch.setenv("USER_PID", str(child.pid))
    path = tmp_path / "nvidiactl"
    path.touch()
    yield path
    child.kill()
    child.wait()


def library(driver: Path, init: str = "pass") -> None:
    """Write the library that stands in for NVML."""
    (driver.parent / "pynvml.py").write_text(NVML.format(init=init))


def is_gone(pid: int) -> bool:
    """Whether no such process runs."""
    stat = read_stat(pid)
    return stat is None or has_ended(stat[1])


def answered(meter: GpuMeter, now: float) -> tuple[GpuStatus, ...]:
    """Ask, and wait for the answer."""
    deadline = time.monotonic() + 60
    meter.poll(os.getpid(), now)
    while meter._asked_at is not None and time.monotonic() < deadline:
        meter.poll(os.getpid(), now)
        time.sleep(0.01)
    return meter.gpus


def test_it_tells_the_devices_of_the_tree(driver: Path) -> None:
    """A descendant's device and one without named users; one child answers again and again."""
    library(driver)
    meter = GpuMeter(driver)
    expected = (GpuStatus(0, 0.5, 10, 100), GpuStatus(2, 0.52, 12, 100))
    assert answered(meter, 100.0) == expected
    child = meter._child
    assert child is not None
    assert os.getsid(child.pid) == os.getsid(0)  # the launcher knows the daemon's by its session
    meter.poll(os.getpid(), 101.0)
    assert meter._asked_at is None  # not due
    assert answered(meter, 100.0 + EVERY_S) == expected
    assert meter._child is child
    meter.poll(None, 120.0)
    assert (meter.gpus, meter._child) == ((), None)
    assert is_gone(child.pid)


def test_a_driver_that_does_not_answer_is_left_alone(driver: Path) -> None:
    """The child is ended after its deadline, and not started again for a while."""
    library(driver, "time.sleep(600)")
    meter = GpuMeter(driver)
    meter.poll(os.getpid(), 100.0)
    child = meter._child
    assert child is not None
    meter.poll(os.getpid(), 104.0)
    assert meter._child is child
    meter.poll(os.getpid(), 106.0)
    assert is_gone(child.pid)
    meter.poll(os.getpid(), 200.0)
    assert meter._child is None


@pytest.mark.parametrize("init", ["raise OSError", "os._exit(0)", "print('x')"])
def test_a_library_that_fails_tells_nothing(driver: Path, init: str) -> None:
    """No driver, a crash in the library, an answer that is no answer."""
    library(driver, init)
    meter = GpuMeter(driver)
    assert answered(meter, 100.0) == ()
    meter.close()


def test_without_a_driver_no_child_begins(tmp_path: Path) -> None:
    """Most machines have none."""
    meter = GpuMeter(tmp_path / "none")
    meter.poll(os.getpid(), 100.0)
    assert meter._child is None

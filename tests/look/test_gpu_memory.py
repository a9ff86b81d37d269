"""GPU memory that a process holds is reported on request, whether the GPU is busy or not."""

import sys
from types import SimpleNamespace

import pytest

from supervisor.daemon.look import gpu_use


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["memory", "7"], "[[0, 0, [7]]]"),
        (["memory", "8"], "[]"),
        (["7"], "[]"),
    ],
)
def test_memory_that_is_only_held(
    words: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The device is idle, and process 7 holds memory on it."""
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetComputeRunningProcesses=lambda _: [SimpleNamespace(pid=7)],
        nvmlDeviceGetUtilizationRates=lambda _: SimpleNamespace(gpu=0),
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    gpu_use.main(words)
    assert capsys.readouterr().out.strip() == expected

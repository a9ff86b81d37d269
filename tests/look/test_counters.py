"""Whether an attempt does anything: real processes that sleep, compute, read and start others."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from supervisor.daemon.look.counters import (
    Counters,
    CounterSample,
    ProcessCounters,
    stood_still,
    with_descendants,
)

Start = Callable[[str], int]


@pytest.fixture
def start(start_ready: Callable[..., int]) -> Start:
    """Return a function that starts Python code, and returns its pid once it is ready."""

    def start_one(code: str) -> int:
        code = f"import os, time\nprint('ready', flush=True)\n{code}"
        return start_ready(sys.executable, "-S", "-c", code)

    return start_one


def later(sample: CounterSample, seconds: float = 60.0) -> CounterSample:
    """The same counters, as if that much time had passed."""
    return sample._replace(at_s=sample.at_s + seconds)


def test_a_sleeper_stands_still(start: Start) -> None:
    """A process that sleeps stands still."""
    counters = Counters([start("time.sleep(1000)")])
    first = counters.sample()
    assert first.processes
    assert stood_still(first, later(counters.sample()))


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "while True: open('/dev/zero', 'rb').read(1); time.sleep(0.01)",
        "while True: os.write(os.open('/dev/null', 1), b'x'); time.sleep(0.01)",
        "while True: time.sleep(0.01); os.fork() or os._exit(0); os.wait()",
    ],
    ids=["computes", "reads", "writes", "starts others"],
)
def test_whoever_does_anything_does_not(start: Start, code: str) -> None:
    """A byte, a new process or a moment of CPU is activity, however rare."""
    counters = Counters([start(code)])
    first = counters.sample()
    second = counters.sample()
    for _ in range(2000):
        if not stood_still(first, second._replace(at_s=first.at_s + 5.0)):
            break
        second = counters.sample()
    else:
        pytest.fail("it was taken to stand still")


def test_descendants_count(start: Start) -> None:
    """A shell that waits while its child computes is active."""
    pid = start("os.fork() or time.sleep(1000)\nos.fork()\ntime.sleep(1000)")
    while len(with_descendants([pid])) < 3:
        pass
    assert len(Counters([pid]).sample().processes) == 3
    assert with_descendants([pid])[0] == pid


BEFORE = CounterSample(100.0, {7: ProcessCounters(1, 500, 10), 8: ProcessCounters(2, 0, 0)}, None)


@pytest.mark.parametrize(
    ("change", "still"),
    [
        ({}, True),
        ({7: ProcessCounters(1, 505, 10)}, True),
        ({7: ProcessCounters(1, 520, 10)}, False),
        ({7: ProcessCounters(1, 500, 11)}, False),
        ({7: ProcessCounters(1, 500, None)}, False),
        ({7: ProcessCounters(9, 500, 10)}, False),
        ({9: ProcessCounters(5, 0, 0)}, False),
    ],
    ids=["nothing", "noise", "cpu", "io", "io unknown", "pid reused", "a new process"],
)
def test_what_counts_as_activity(change: dict[int, ProcessCounters], still: bool) -> None:
    """Only a hundredth of a core over ten seconds is noise."""
    assert stood_still(BEFORE, CounterSample(110.0, {**BEFORE.processes, **change}, None)) is still


def test_what_proves_nothing() -> None:
    """Too short a time, no process left, an ended process or a busy GPU proves no standstill."""
    assert not stood_still(BEFORE, later(BEFORE, 1.0))
    assert not stood_still(BEFORE, CounterSample(110.0, {}, None))
    assert not stood_still(BEFORE, CounterSample(110.0, {7: BEFORE.processes[7]}, None))
    assert not stood_still(BEFORE, later(BEFORE)._replace(gpu_percent=1))
    assert not stood_still(BEFORE._replace(gpu_percent=1), later(BEFORE))
    assert stood_still(BEFORE._replace(gpu_percent=0), later(BEFORE)._replace(gpu_percent=0))


def test_the_dead_are_left_out(start: Start) -> None:
    """A pid that nobody has is no error."""
    assert Counters([2**22 - 1]).sample().processes == {}

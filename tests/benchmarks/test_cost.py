"""The measure itself: it must show a process that works hard, and an idle one."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.cost import Cost, cpu_ns, measure, memory_bytes

BUSY = "while True: pass"
IDLE = "import signal; signal.pause()"


@pytest.fixture
def start() -> Iterator[object]:
    """Starts Python programs that end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(code: str) -> int:
        started.append(subprocess.Popen([sys.executable, "-c", code]))
        return started[-1].pid

    yield run
    for process in started:
        process.kill()
        process.wait()


def wait_until(claim: Callable[[], bool]) -> None:
    """Wait for a claim to hold."""
    deadline = time.monotonic() + 90
    while not claim():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def is_at_rest(pid: int) -> bool:
    """Whether a process has started, and uses no CPU for a moment."""
    before = cpu_ns(pid)
    time.sleep(0.5)
    return 0 < before == cpu_ns(pid)


def test_work_costs_cpu_and_waiting_does_not(start: object) -> None:
    """The measure tells a process that spins from one that waits."""
    assert callable(start)
    pids = {"busy": start(BUSY), "idle": start(IDLE)}
    wait_until(lambda: is_at_rest(pids["idle"]))

    def is_told_apart() -> bool:
        costs = measure(pids, 2.0)
        assert costs["idle"].cpu_percent < 10
        return costs["busy"].cpu_percent > 10

    # On a busy machine the process may get less CPU for a few seconds.
    wait_until(is_told_apart)


def test_a_process_that_ends_meanwhile_costs_what_was_seen(start: object) -> None:
    """A child that sends a message may end while its supervisor is measured."""
    assert callable(start)
    pids = {"idle": start(IDLE), "short": start("import time; time.sleep(6.5)")}
    wait_until(lambda: is_at_rest(pids["short"]))
    costs = measure(pids, 7.0, brief=["short"])
    assert costs["idle"].rss_bytes > 0
    assert costs["short"].cpu_percent < 10


def test_work_of_ended_threads_and_children_counts(start: object, tmp_path: Path) -> None:
    """The work of an ended thread or child still counts."""
    assert callable(start)
    go, done = tmp_path / "go", tmp_path / "done"
    pid = start(
        "import pathlib, subprocess, sys, threading, time\n"
        f"go, done = pathlib.Path({str(go)!r}), pathlib.Path({str(done)!r})\n"
        "while not go.exists(): time.sleep(0.01)\n"
        "spin = 'import time\\nbegan = time.process_time()\\n'\n"
        "spin += 'while time.process_time() < began + 0.3: pass'\n"
        "thread = threading.Thread(target=exec, args=(spin,))\n"
        "thread.start(); thread.join()\n"
        "subprocess.run([sys.executable, '-c', spin])\n"
        "done.touch()\n"
        f"{IDLE}\n"
    )
    before = cpu_ns(pid)
    go.touch()
    wait_until(done.exists)
    assert cpu_ns(pid) - before > 0.55e9


def test_memory_is_what_was_touched(start: object) -> None:
    """Resident size follows what a process writes; the proportional size is not larger."""
    assert callable(start)
    small, large = start(IDLE), start(f"held = bytearray(b'x' * (64 << 20)); {IDLE}")
    wait_until(lambda: memory_bytes(large)[0] - memory_bytes(small)[0] > 60 << 20)
    measure({"large": large}, 1.0)
    assert memory_bytes(large)[0] - memory_bytes(small)[0] > 60 << 20
    for pid in (small, large):
        rss, pss = memory_bytes(pid)
        assert pss <= rss


def test_costs_add_up() -> None:
    """The cost of a supervisor is the sum over its processes."""
    assert Cost(1, 2, 0.5) + Cost(10, 20, 0.25) == Cost(11, 22, 0.75)

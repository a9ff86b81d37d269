"""Sends SIGTERM to loops that give signs of life. A forked process for each case; prints JSON."""

import json
import multiprocessing
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

HEARTBEATS = Path(os.environ["SUPERVISOR_HEARTBEAT"])
PATIENCE_S = 60.0
STOP_AT = 72
NEXT_SAVE = HEARTBEATS / "next-save.json"
# Interval, seconds since the last save, grace; None leaves the file away.
EXPECTED: dict[str, tuple[float | None, float | None, float] | str | None] = {
    "due": (100.0, 95.0, 60.0), "twice": (100.0, 95.0, 60.0), "late": (100.0, 120.0, 60.0),
    "not_due": (1000.0, 5.0, 60.0),
    "within_the_margin": (10000.0, 4300.0, 6000.0), "overdue": (100.0, 190.0, 60.0),
    "no_save_yet": (100.0, None, 60.0), "gone": (100.0, 95.0, 60.0), "no_file": None,
    "no_interval": (None, 95.0, 60.0), "torn": '{"interval_s": 100.0, "since',
    "own_before": (100.0, 95.0, 60.0),
    "own_after": (100.0, 95.0, 60.0), "own_chained": (100.0, 95.0, 60.0),
    "ignored": (100.0, 95.0, 60.0), "helper": (100.0, 95.0, 60.0),
    "multiprocessing": (100.0, 95.0, 60.0),
    "announced_later": (100.0, 95.0, 60.0), "not_announced": (100.0, 95.0, 60.0),
    "not_announced_after_the_loop": (100.0, 95.0, 60.0), "grace_over": (100.0, 100.0, 4.0),
}  # fmt: skip
# When the supervisor says that it stops the run, if not before the signal: seconds after that.
ANNOUNCED = {"announced_later": 0.7, "not_announced": None, "not_announced_after_the_loop": None}


def until(holds: Callable[[], bool]) -> None:
    """Wait until this holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            sys.exit("waited in vain")
        time.sleep(0.01)


def sign_of(pid: int) -> Path:
    return HEARTBEATS / f"sign-{pid}"


def word(pid: int, at: int) -> int:
    data = sign_of(pid).read_bytes() if sign_of(pid).exists() else bytes(4096)
    return int(struct.unpack_from("<Q", data, at)[0])


def count(pid: int) -> int:
    return word(pid, 32)


def trains(case: str, report: int) -> None:
    """The process of one case: it trains until it is ended."""

    def leave(*_: object) -> None:
        os._exit(3)

    def chained(number: int, frame: object) -> None:
        before(number, frame)  # type: ignore[operator]
        leave()

    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    if case == "own_before":
        signal.signal(signal.SIGTERM, leave)
    if case == "ignored":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    begun = time.monotonic()
    before: object = None
    first_at = 0.0
    while time.monotonic() < begun + PATIENCE_S:
        if case == "not_announced_after_the_loop" and report < 0:
            time.sleep(0.05)  # an export, or a model that is served
            continue
        model(torch.ones(3, 2)).sum().backward()
        optimizer.step()
        first_at = first_at or time.monotonic()
        if case.startswith("own_") and case != "own_before" and before is None:
            is_taken = signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
            assert is_taken
            handler = chained if case == "own_chained" else leave
            before = signal.signal(signal.SIGTERM, handler) or True
        if time.monotonic() > first_at + 1.3 and report >= 0:
            os.write(report, b"1")  # the hook has had its look of each second
            report = -1
        time.sleep(0.005)
    os._exit(0)


def begin(case: str) -> tuple[int, int]:
    """Start the process of one case; its pid, and where it reports."""
    read, write = os.pipe()
    if case == "multiprocessing":
        child = multiprocessing.get_context("fork").Process(target=trains, args=(case, write))
        child.start()
        assert child.pid is not None
        return child.pid, read
    pid = os.fork()
    if pid:
        return pid, read
    if case == "helper":
        helps(case, write)
    trains(case, write)
    os._exit(9)


def helps(case: str, write: int) -> None:
    """A process that trains forks the one that is looked at, and takes over its end."""
    parent = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    NEXT_SAVE.unlink()  # this process itself must not take the signal
    parent.step()
    expect(case)
    child = os.fork()
    if child == 0:
        trains(case, write)
    (HEARTBEATS / "helper").write_text(str(child))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def put(facts: dict[str, float | None]) -> None:
    """Write the daemon's file, whole."""
    stage = NEXT_SAVE.with_suffix(".new")
    stage.write_text(json.dumps(facts))
    stage.replace(NEXT_SAVE)


def announce(case: str) -> None:
    """Say what the daemon says before it sends a stop."""
    if isinstance(EXPECTED[case], tuple) and NEXT_SAVE.exists():
        put(json.loads(NEXT_SAVE.read_text()) | {"stop_s_monotonic": time.monotonic()})


def expect(case: str) -> None:
    """Write what the daemon says of the next save."""
    expected = EXPECTED[case]
    NEXT_SAVE.unlink(missing_ok=True)
    if isinstance(expected, tuple):
        interval_s, ago_s, grace_s = expected
        since_s = None if ago_s is None else time.monotonic() - ago_s
        facts = {"interval_s": interval_s, "since_s_monotonic": since_s, "grace_s": grace_s}
        put(facts | {"stop_s_monotonic": None})
    elif expected is not None:
        NEXT_SAVE.write_text(expected)


def ended(pid: int) -> int | None:
    """How a process has ended, None while it lives."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def answer(case: str) -> tuple[list[int | None], int]:
    """Run one case: the stop's word before and after a SIGTERM, and the end; the last word."""
    expect(case)
    pid, report = begin(case)
    os.read(report, 1)
    looked_at = pid
    if case == "helper":
        looked_at = int((HEARTBEATS / "helper").read_text())
    handled = word(looked_at, STOP_AT)
    if case == "gone":
        NEXT_SAVE.unlink()
    wait_s = ANNOUNCED.get(case, 0.0)
    if wait_s == 0.0:
        announce(case)
    os.kill(looked_at, signal.SIGTERM)
    if wait_s:
        time.sleep(wait_s)
        announce(case)
        os.kill(looked_at, signal.SIGTERM)  # the supervisor's own: one stop
    if case == "twice":  # SLURM and the launcher signal it at the same moment
        until(lambda: word(looked_at, STOP_AT) == 2)
        os.kill(looked_at, signal.SIGTERM)
    steps = count(looked_at)
    end: int | None = None

    def is_settled() -> bool:
        nonlocal end
        end = ended(pid)
        return end is not None or count(looked_at) > steps + 20

    until(is_settled)
    after = word(looked_at, STOP_AT) if end is None or end >= 0 else None
    if end is None:
        if case == "ignored":
            os.kill(looked_at, signal.SIGKILL)
            os.waitpid(pid, 0)
            return [handled, after, 0], 0
        if case != "grace_over":
            time.sleep(0.7)  # sooner it would be the same stop
            os.kill(looked_at, signal.SIGTERM)
        end = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return [handled, after, end], word(looked_at, STOP_AT)


def main() -> None:
    found = {case: answer(case) for case in EXPECTED}
    answers: dict[str, object] = {case: one for case, (one, _) in found.items()}
    answers["words_after_the_end"] = {case: last for case, (_, last) in found.items()}
    print(json.dumps(answers))


main()

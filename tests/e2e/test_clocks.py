"""Clocks that jump by hours, and suspended machines, cost no false hang, no budget, no step."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.daemon.test_successor import kill_daemon
from tests.e2e.conftest import Supervised, uninterrupted

HOUR_S = 3600
# Daemon, commands and trainer import it. The launcher uses no wall clock and no site.
SITE = """\
import os, time
_path, _now = os.environ["WALL_OFFSET"], time.time
def _shifted():
    try:
        with open(_path) as file:
            return _now() + float(file.read())
    except (OSError, ValueError):
        return _now()
time.time = _shifted
"""


class Jumpy(Supervised):
    """A run whose wall clock the test sets."""

    def start(self, *options: str):  # type: ignore[no-untyped-def]
        """Start under a clock that a file moves."""
        site = self.folder / "site"
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(SITE)
        return super().start(*options)

    def jump(self, hours: float) -> None:
        """Set the wall clock to so many hours from the true time."""
        place = self.folder / "offset"
        place.with_suffix(".new").write_text(str(hours * HOUR_S))
        place.with_suffix(".new").rename(place)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Jumpy":
    """A run in a fresh directory."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("WALL_OFFSET", str(tmp_path / "offset"))
    return Jumpy(tmp_path)


@pytest.fixture(autouse=True)
def _closed(run: Jumpy):  # type: ignore[no-untyped-def]
    yield
    run.close()


def hours_on_record(run: Supervised) -> set[int]:
    """The offsets of the entries' wall times, in hours."""
    base = time.time()
    walls = [_wall(entry["at"]) for entry in run.entries()]
    return {round((wall - base) / HOUR_S) for wall in walls}


def _wall(text: str) -> float:
    from supervisor.system.clock import parse_rfc3339

    return parse_rfc3339(text)


def test_jumps_both_ways_cost_nothing(run: Jumpy) -> None:
    """The clock jumps +30 h, then -10 h; trainer and daemon die under each offset."""
    run.configure(
        env={"STEP_S": "0.1", "STEPS": "1000"},
        watch={"heartbeat_timeout": "20s", "log_silence": "20s", "on_silence": "restart"},
    )
    run.start()
    trainer = run.wait_step(12)
    for attempt, hours in ((2, 30), (3, -10)):
        run.jump(hours)
        run.wait(lambda: run.status["step"] > 12)
        os.kill(trainer, signal.SIGKILL)
        run.wait_step(14, attempt=attempt)
        kill_daemon(run)
        run.wait(lambda h=hours: h in hours_on_record(run))
        trainer = run.wait_step(run.status["step"] + 5, attempt=attempt)
    run.jump(0)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    ends = run.entries("attempt_ended")
    assert [end["failure"] for end in ends] == ["killed", "killed", "preempted"]
    status = run.status
    assert status["budget"]["today"] == 2
    assert status["goodput"]["total_s"] < HOUR_S
    starts = [entry["checkpoint"] for entry in run.entries("attempt_started")]
    assert starts[0] is None
    assert 10 <= starts[1]["step"] <= starts[2]["step"]
    run.steps = ends[-1]["step"] + 10
    run.configure(env={"STEP_S": "0.01", "STEPS": str(run.steps)})
    assert run.run() == 0
    assert run.weight() == uninterrupted(run.steps)


@pytest.mark.parametrize("hours", [30, -30])
def test_a_backoff_does_not_jump_with_the_clock(run: Jumpy, hours: int) -> None:
    """The daemon dies in a backoff, and its successor reads another day from the wall clock."""
    run.configure(
        env={"FAULTS": '{"1": [3, "raise"]}'}, restart={"backoff": "4s", "backoff_max": "4s"}
    )
    run.start()
    run.wait(lambda: run.status.get("state") == "backoff")
    run.jump(hours)
    kill_daemon(run)
    assert run.finish() == 0
    (decided,) = [e for e in run.entries("decision") if e["state"] == "backoff"]
    waited_s = run.entries("attempt_started")[1]["monotonic"] - decided["monotonic"]
    assert decided["wait_s"] - 0.1 < waited_s < decided["wait_s"] + 30.0
    assert hours in hours_on_record(run)


def freeze(run: Supervised, for_s: float) -> None:
    """Stop trainer, daemon and launcher as a suspended machine does, then let them go on."""
    pids = [run.status["pids"][who] for who in ("trainer", "daemon", "launcher")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(for_s)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)


def test_a_suspend_of_everything_is_no_hang(run: Jumpy) -> None:
    """A suspend of 9 s with a heartbeat timeout of 4 s is not judged as a hang."""
    run.configure(hold=30, env={"STEPS": "60"}, watch={"heartbeat_timeout": "4s"})
    run.steps = 60
    run.start()
    run.wait_step(5)
    freeze(run, 9.0)
    run.let_go()
    assert run.finish() == 0
    assert [end["failure"] for end in run.entries("attempt_ended")] == ["completed"]
    assert len(run.entries("daemon_started")) == 1
    assert run.weight() == uninterrupted(60)


def test_a_suspend_in_a_stop_takes_nothing_of_the_grace(run: Jumpy) -> None:
    """A trainer is suspended past its grace: it saves afterwards, also under another daemon."""
    run.configure(hold=1, env={"DEAF": "1"}, grace="7s")
    run.start()
    run.wait_step(1)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    run.wait(lambda: run.entries("stop_requested"))
    freeze(run, 9.0)
    run.wait(lambda: run.entries("suspended") or run.process.poll() is not None)
    if run.process.poll() is None:
        os.kill(run.status["pids"]["daemon"], signal.SIGKILL)
    run.let_go()
    assert run.finish() == 75
    (end,) = run.entries("attempt_ended")
    assert (end["stop_requested"], end["saved"], end["code"]) == ("SIGTERM", True, 75)

"""What the daemon's loop reports of a run to systemd, state by state."""

from dataclasses import replace

import pytest

from supervisor.core.policy import Policy
from supervisor.core.states import Activity, Checkpoint, State, Stop
from supervisor.core.vocabulary import TERMINAL, Failure, Phase, RunState, StopSource
from supervisor.daemon.tell.systemd import ServiceManager, priority_of, status_text
from supervisor.launcher.messages import Alive
from supervisor.system import journal_stream
from tests.systemd.conftest import Listener

RUNNING = State(
    Policy(),
    run=RunState.RUNNING,
    attempt=3,
    alive=True,
    activity=Activity(phase=Phase.STEP, step=1205, attached=True),
    newest=Checkpoint("/r/checkpoint-1200", 1200),
)


def test_status_line() -> None:
    """The line has state, attempt and step, or an unusual phase, or why the run ended."""
    assert status_text(RUNNING, None) == (
        "running: attempt 3, step 1,205, newest checkpoint at step 1,200"
    )
    saving = replace(RUNNING.activity, phase=Phase.SAVE)
    assert "in save" in status_text(replace(RUNNING, activity=saving), None)
    held = replace(RUNNING, run=RunState.HELD, reason="the loss is nan")
    assert status_text(held, None) == "held: the loss is nan"


def test_first_word_is_ready_and_signs_follow(listener: Listener) -> None:
    """READY is sent once, the status when it changes, signs of life each second."""
    orders: list[object] = []
    manager = ServiceManager(orders.append, "/r")
    manager.turned(RUNNING, None, 100.0)
    first = listener.heard()
    assert first[0] == "WATCHDOG=1"
    assert first[1].startswith("READY=1\nSTATUS=running: attempt 3")
    manager.turned(RUNNING, None, 100.5)
    assert listener.heard() == []
    manager.turned(RUNNING, None, 101.1)
    assert listener.heard() == ["WATCHDOG=1"]
    assert orders == [Alive(), Alive()]


@pytest.mark.parametrize(
    ("by", "is_final"), [(StopSource.SIGTERM, True), (StopSource.INTENT, False)]
)
def test_stop_asks_for_time(listener: Listener, by: StopSource, is_final: bool) -> None:
    """Each look asks for more time; STOPPING is sent only if nobody can take the stop back."""
    manager = ServiceManager(lambda order: None, "/r")
    draining = replace(RUNNING, run=RunState.DRAINING, stop=Stop(by, 100.0))
    for now in (100.0, 101.0, 102.0):
        manager.turned(draining, None, now)
    said = "\n".join(listener.heard())
    assert said.count("EXTEND_TIMEOUT_USEC=90000000") == 3
    assert said.count("STOPPING=1") == int(is_final)


@pytest.mark.parametrize("run", sorted(TERMINAL))
def test_last_word(listener: Listener, run: RunState, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last message says why the run ended, and for held runs what to type."""
    monkeypatch.setattr("supervisor.system.sd_notify.wait_until_heard", lambda: True)
    manager = ServiceManager(lambda order: None, "/r")
    manager.ended(replace(RUNNING, run=run, reason="because"))
    said = "\n".join(listener.heard())
    assert f"STATUS={run}: because" in said
    failed = run in (RunState.HELD, RunState.STUCK)
    assert ("READY=1" in said) is not failed
    assert ("supervisor resume /r" in said) is failed
    assert "STOPPING=1" in said


def test_reload_has_no_last_word(listener: Listener) -> None:
    """After a reload another daemon goes on, so systemd must not see an end."""
    ServiceManager(lambda order: None, "/r").ended(RUNNING)
    assert listener.heard() == []


def test_priorities() -> None:
    """A state that needs a human is an error, a repaired failure a warning."""
    expected = {
        RunState.HELD: journal_stream.ERROR,
        RunState.BACKOFF: journal_stream.WARNING,
        RunState.COMPLETED: journal_stream.NOTICE,
        RunState.RUNNING: journal_stream.INFO,
    }
    assert {run: priority_of(replace(RUNNING, run=run)) for run in expected} == expected
    relaunching = replace(RUNNING, run=RunState.LAUNCHING, failure=Failure.KILLED)
    assert priority_of(relaunching) == journal_stream.WARNING

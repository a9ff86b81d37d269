"""Timers belong to the run: the next daemon continues those of the daemon that died."""

import os
import signal
import sys
import time
from typing import Any

import pytest

from supervisor.core.events import Begun
from supervisor.core.point_in_time import Moment
from supervisor.core.policy import Policy
from supervisor.core.reactions.operator import KILL_ANSWER_S, TERM_S
from supervisor.core.rules.resumption import initial_state
from supervisor.core.states import State
from supervisor.core.step import step
from supervisor.core.vocabulary import Intent, RunState
from supervisor.daemon.takeover import beginning
from supervisor.launcher.messages import Hello, KnownAttempt
from tests.core.world import history_of
from tests.daemon.test_successor import STUBBORN, kill_daemon
from tests.e2e.conftest import Supervised

NOW = 1000.0
ENTRIES: list[dict[str, Any]] = [
    {"type": "daemon_started", "boot_id": "b", "wall": 0.0},
    {"type": "attempt_started", "attempt": 1, "wall": 0.0, "monotonic": 900.0},
]
RUNNING = KnownAttempt(attempt=1, pid=5, start_ticks=7, started_monotonic=900.0)


def begun(*entries: dict[str, Any], attempt: KnownAttempt | None = None) -> State:
    """The state of a daemon that begins now, with this ledger and this attempt in the hello."""
    history = history_of([*ENTRIES, *({"wall": 0.0, **entry} for entry in entries)])
    state = initial_state(history, Policy(grace_s=120.0), now=NOW, wall=0.0, boot="b")
    event, state, _ = beginning(
        history, Intent.RUN, state, Hello(attempt=attempt), Moment(0.0, NOW, "b")
    )
    assert isinstance(event, Begun)
    return step(state, event, NOW)[0]


def test_grace_goes_on() -> None:
    """A stop of 50 s ago has 70 s left; a suspend does not count."""
    asked = {"type": "stop_requested", "by": "SIGTERM", "monotonic": NOW - 50.0}
    attempt = RUNNING.changed(stop_sent=True, stop_sent_at=NOW - 50.0)
    assert begun(asked, attempt=attempt).wake_at == NOW + 70.0
    suspended = {"type": "suspended", "gap_s": 30.0, "monotonic": NOW - 10.0}
    assert begun(asked, suspended, attempt=attempt).wake_at == NOW + 100.0


def test_a_stop_that_only_the_launcher_knows_counts_from_when_it_was_sent() -> None:
    """The daemon died between its order and its entry: the launcher's time of the stop counts."""
    attempt = RUNNING.changed(stop_sent=True, stop_sent_at=NOW - 20.0)
    assert begun(attempt=attempt).wake_at == NOW + 100.0


def test_the_end_of_a_hung_attempt_goes_on() -> None:
    """SIGTERM was sent 10 s ago: SIGKILL is due 5 s later, and then the answer to it."""
    hung = {"type": "hung", "attempt": 1, "reason": "r", "monotonic": NOW - 12.0}
    sent = RUNNING.changed(stop_sent=True, stop_sent_at=NOW - 10.0)
    assert begun(hung, attempt=sent).wake_at == NOW - 10.0 + TERM_S
    killed = sent.changed(kill_sent=True, kill_sent_at=NOW - 30.0)
    assert begun(hung, attempt=killed).wake_at == NOW - 30.0 + KILL_ANSWER_S


@pytest.mark.parametrize("state", ["backoff", "waiting"])
def test_a_pause_goes_on(state: str) -> None:
    """Of 100 s that were decided 40 s ago 60 s are left; after 400 s none are."""
    decided = {"type": "decision", "state": state, "wait_s": 100.0, "failure": "disk_full"}
    seen = begun({**decided, "monotonic": NOW - 40.0})
    assert (seen.run.value, seen.wake_at, seen.failure) == (state, NOW + 60.0, "disk_full")
    assert begun({**decided, "monotonic": NOW - 400.0}).wake_at == NOW


def test_a_pause_is_over_with_what_ended_it() -> None:
    """A launch, `supervisor resume` or another supervisor ends the pause: a survey comes next."""
    decided = {"type": "decision", "state": "backoff", "wait_s": 100.0, "monotonic": NOW}
    for ending in (
        {"type": "attempt_started", "attempt": 2},
        {"type": "intent", "intent": "run"},
        {"type": "resumed", "intent_id": "i"},
        {"type": "supervisor_started", "boot_id": "b"},
    ):
        seen = begun(decided, ending)
        assert (seen.run, seen.surveying) == (RunState.LAUNCHING, True), ending


def moments(run: Supervised, kind: str) -> list[float]:
    """The times of the entries of one type, monotonic seconds."""
    return [float(entry["monotonic"]) for entry in run.entries(kind)]


def test_backoff_is_neither_skipped_nor_begun_anew(run: Supervised) -> None:
    """The daemon dies twice in a backoff of about 12 s: the next attempt comes at its end."""
    run.configure(
        env={"FAULTS": '{"1": [3, "raise"]}'}, restart={"backoff": "12s", "backoff_max": "12s"}
    )
    run.start()
    for passed_s in (0.0, 6.0):
        (decided,) = run.wait(lambda: moments(run, "decision"))
        run.wait(lambda due=decided + passed_s: time.monotonic() >= due)
        run.wait(lambda: run.status.get("state") == "backoff")
        before = run.status["pids"]["daemon"]
        kill_daemon(run)
        run.wait(lambda old=before: run.status["pids"]["daemon"] != old)
    assert run.finish() == 0
    (decided,) = [e for e in run.entries("decision") if e["state"] == "backoff"]
    waited_s = moments(run, "attempt_started")[1] - decided["monotonic"]
    # If the last daemon had begun the backoff anew, it would end at least 6 s later.
    assert decided["wait_s"] - 0.1 < waited_s < decided["wait_s"] + 6.0
    assert run.entries("attempt_ended")[0]["failures"] == 1


def test_grace_is_not_begun_anew_by_daemons_that_die(run: Supervised) -> None:
    """A trainer that ignores SIGTERM has its grace of 10 s once, under three daemons."""
    command = [sys.executable, "-c", f"{STUBBORN}; time.sleep(300)"]
    run.configure(command=command, grace="10s")
    process = run.start()
    run.wait(lambda: run.paths.train_log.exists() and "up" in run.log)
    run.wait(lambda: run.status.get("state") == "running")
    process.send_signal(signal.SIGTERM)
    (asked,) = run.wait(lambda: moments(run, "stop_requested"))
    for passed_s in (1.5, 8.0):
        run.wait(lambda due=asked + passed_s: time.monotonic() >= due)
        before = run.status["pids"]["daemon"]
        kill_daemon(run)
        run.wait(lambda old=before: run.status["pids"]["daemon"] != old)
    assert run.finish() == 75
    (ended,) = moments(run, "attempt_ended")
    # If the last daemon had begun the grace anew, the attempt would end at 18 s or later.
    assert 9.9 < ended - asked < 18.0


def test_a_wait_for_space_goes_on_under_the_next_daemon(run: Supervised) -> None:
    """The daemon is killed while it waits for disk space: no launch before its time."""
    text = "import os, sys; os.path.exists('go') or sys.exit('OSError: [Errno 28] No space left on"
    command = [sys.executable, "-c", f"{text} device')"]
    run.configure(command=command, restart={"backoff": "3s", "backoff_max": "3s"})
    run.start()
    run.wait(lambda: run.status.get("state") == "waiting")
    os.close(os.open(run.folder / "go", os.O_CREAT))
    kill_daemon(run)
    assert run.finish() == 0
    (waiting,) = [e for e in run.entries("decision") if e["state"] == "waiting"]
    waited_s = moments(run, "attempt_started")[1] - waiting["monotonic"]
    assert waited_s > waiting["wait_s"] - 0.1
    assert len(run.entries("attempt_started")) == 2

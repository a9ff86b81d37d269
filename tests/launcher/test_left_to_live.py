"""Processes that main leaves with exit 0 live until the daemon's word, or until its time is up."""

import os
import signal
import time

import pytest

from tests.launcher.conftest import Rig

LEAVES = "sleep 1000 & echo $! > left; exit 0"
LONG_S = 600.0


def test_it_lives_until_the_daemons_word_ends_it(rig: Rig) -> None:
    """The next daemon, too, learns that processes remain, and its message ends them."""
    rig.start()
    first = rig.daemon()
    first.send("launch", **{**rig.request("sh", "-c", LEAVES), "word_s": LONG_S})
    assert first.expect("main_exited")["awaits_word"] is True
    pid = int(rig.wait_for_file("left"))
    os.kill(first.pid, signal.SIGKILL)
    second = rig.daemon()
    told = second.hello["attempt"]
    assert told["ending"]["awaits_word"] is True
    assert told["ending"]["code"] == 0
    second.send("keep", attempt=1, for_s=LONG_S)
    assert not rig.is_gone(pid)
    second.send("keep", attempt=1, for_s=0)
    exited = second.expect("exited")
    assert (exited["leftovers"], exited["left_ended"]) == (1, [])


@pytest.mark.parametrize("kept", [False, True])
def test_without_a_further_word_it_is_ended(rig: Rig, kept: bool) -> None:
    """Without a daemon's message the remaining processes end when their time is over."""
    rig.start()
    daemon = rig.daemon()
    word_s = LONG_S if kept else 0.3
    daemon.send("launch", **{**rig.request("sh", "-c", LEAVES), "word_s": word_s})
    daemon.expect("main_exited")
    if kept:
        daemon.send("keep", attempt=1, for_s=0.3)
    assert daemon.expect("exited")["leftovers"] == 1


def test_how_it_ends_by_itself_is_told(rig: Rig) -> None:
    """A training in the background that dies ends the attempt at once."""
    rig.start()
    daemon = rig.daemon()
    script = "(sleep 0.3; exit 7) & echo $! > left; exit 0"
    began = time.monotonic()
    daemon.send("launch", **{**rig.request("sh", "-c", script), "word_s": LONG_S})
    exited = daemon.expect("exited")
    pid = int(rig.wait_for_file("left"))
    assert exited["left_ended"] == [{"pid": pid, "code": 7, "signal": None}]
    assert (exited["code"], exited["leftovers"]) == (0, 0)
    assert time.monotonic() - began < LONG_S / 2


def test_a_dead_daemons_child_is_none_of_them(rig: Rig) -> None:
    """Daemons have children, too; one that outlives its daemon tells nothing of the training."""
    child = "(while kill -0 $$ 2> kill.txt; do sleep 0.02; done; echo > over; exit 1) &"
    rig.start(daemon_argv=["sh", "-c", f'{child} exec "$@"', "sh", *rig.relay_argv()])
    first = rig.daemon()
    script = "(while [ ! -e go ]; do sleep 0.02; done; exit 7) & echo $! > left; exit 0"
    first.send("launch", **{**rig.request("sh", "-c", script), "word_s": LONG_S})
    first.expect("main_exited")
    os.kill(first.pid, signal.SIGKILL)
    second = rig.daemon()
    second.send("keep", attempt=1, for_s=LONG_S)
    rig.wait_for_file("over")
    (rig.folder / "go").touch()
    exited = second.expect("exited")
    pid = int(rig.wait_for_file("left"))
    assert exited["left_ended"] == [{"pid": pid, "code": 7, "signal": None}]


@pytest.mark.parametrize("code", [1, 143])
def test_what_a_failure_leaves_is_ended_at_once(rig: Rig, code: int) -> None:
    """Only after exit 0 may a remaining process be the training."""
    rig.start()
    daemon = rig.daemon()
    script = LEAVES.replace("exit 0", f"exit {code}")
    daemon.send("launch", **{**rig.request("sh", "-c", script), "word_s": LONG_S})
    assert daemon.expect("main_exited")["awaits_word"] is False
    assert daemon.expect("exited")["leftovers"] == 1


def test_a_stop_reaches_it(rig: Rig) -> None:
    """The remaining process is asked to save, and not killed before it has."""
    rig.start()
    daemon = rig.daemon()
    script = (
        'sh -c \'trap "echo > saved; exit 75" TERM; echo $$ > left;'
        " while :; do sleep 0.05; done' & while [ ! -e left ]; do sleep 0.01; done; exit 0"
    )
    daemon.send("launch", **{**rig.request("sh", "-c", script), "word_s": LONG_S})
    daemon.expect("main_exited")
    daemon.send("keep", attempt=1, for_s=LONG_S)
    daemon.send("stop", attempt=1, signal=int(signal.SIGTERM))
    exited = daemon.expect("exited")
    rig.wait_for_file("saved")
    pid = int(rig.wait_for_file("left"))
    assert {"pid": pid, "code": 75, "signal": None} in exited["left_ended"]


def test_a_stop_signal_shortens_no_word(rig: Rig) -> None:
    """After a stop signal to the launcher the remaining process still has its time."""
    rig.start()
    daemon = rig.daemon()
    daemon.send("launch", **{**rig.request("sh", "-c", LEAVES), "word_s": LONG_S})
    daemon.expect("main_exited")
    pid = int(rig.wait_for_file("left"))
    rig.process.send_signal(signal.SIGTERM)
    daemon.expect("signal")
    daemon.send("noted")
    time.sleep(6)  # longer than the launcher waits for an expected stop
    assert not rig.is_gone(pid)
    daemon.send("kill", attempt=1)
    assert daemon.expect("exited")["leftovers"] == 1

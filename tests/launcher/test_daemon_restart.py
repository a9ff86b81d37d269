"""The daemon may die at any time: training goes on, and the next daemon learns the state."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.system.json_lines import encode

if TYPE_CHECKING:
    from tests.launcher.conftest import Rig


def test_a_killed_daemon_is_replaced_and_the_trainer_stays(rig: Rig) -> None:
    """The new daemon's hello has the attempt, and the new daemon can end it."""
    rig.start()
    first = rig.daemon()
    started = rig.launch(first, "sleep", "1000", attempt=3)
    os.kill(first.pid, signal.SIGKILL)
    second = rig.daemon()
    attempt = second.hello["attempt"]
    assert attempt["attempt"] == 3
    assert attempt["run_id"] == rig.run_id
    assert (attempt["pid"], attempt["start_ticks"]) == (started["pid"], started["start_ticks"])
    assert attempt["started_monotonic"] == started["monotonic"]
    assert (attempt["stop_sent"], attempt["kill_sent"], attempt["main_ended"]) == (False,) * 3
    assert second.hello["last_exit"] is None
    assert second.hello["daemon_restarts"] == 1
    assert not rig.is_gone(started["pid"])
    second.send("kill", attempt=3)
    assert second.expect("exited")["attempt"] == 3
    text = rig.stderr.read_text()
    assert "the daemon was ended by SIGKILL; starting it again in 0.1 s (training goes on)" in text


def test_an_exit_without_the_word_is_a_death(rig: Rig) -> None:
    """A daemon that ends with 0 but never sent "exit" is started again."""
    rig.start()
    first = rig.daemon()
    first.connection.close()  # the relay exits 0
    second = rig.daemon()
    assert second.hello["daemon_restarts"] == 1
    assert "the daemon ended to be replaced" in rig.stderr.read_text()


def test_what_ended_meanwhile_is_handed_over(rig: Rig) -> None:
    """`last_exit` holds the exit status until the next launch."""
    rig.start()
    first = rig.daemon()
    started = rig.launch(first, "sleep", "1000", attempt=5)
    os.kill(first.pid, signal.SIGKILL)
    os.kill(started["pid"], signal.SIGSEGV)
    second = rig.daemon()
    if second.hello["attempt"] is not None:  # it began before the launcher saw the end
        second.expect("exited")
        os.kill(second.pid, signal.SIGKILL)
        second = rig.daemon()
    assert second.hello["attempt"] is None
    last = second.hello["last_exit"]
    assert last["is"] == "exited"
    assert (last["attempt"], last["code"], last["signal"]) == (5, None, signal.SIGSEGV)
    rig.launch(second, "sleep", "1000", attempt=6)
    os.kill(second.pid, signal.SIGKILL)
    third = rig.daemon()
    assert third.hello["last_exit"] is None
    assert third.hello["attempt"]["attempt"] == 6
    assert third.hello["daemon_restarts"] >= 2


def test_a_stop_that_was_sent_is_known_to_the_next_daemon(rig: Rig) -> None:
    """`stop_sent` and `main_ended` tell the next daemon the state of the attempt."""
    script = "trap '' TERM; echo > ready; sleep 1000 & exec sleep 1000"
    rig.start()
    first = rig.daemon()
    rig.launch(first, "sh", "-c", script)
    rig.wait_until(lambda: (rig.folder / "ready").exists(), "ready")
    first.send("stop", attempt=1, signal=15)
    # Ordered after the stop: it is refused only once the stop has been read.
    first.send("launch", **rig.request("true", attempt=9))
    first.expect("start_failed")
    os.kill(first.pid, signal.SIGKILL)
    second = rig.daemon()
    attempt = second.hello["attempt"]
    assert (attempt["stop_sent"], attempt["kill_sent"], attempt["main_ended"]) == (
        True,
        False,
        False,
    )
    os.kill(attempt["pid"], signal.SIGKILL)
    assert second.expect("main_exited")["signal"] == 9
    os.kill(second.pid, signal.SIGKILL)
    third = rig.daemon()
    assert third.hello["attempt"]["main_ended"] is True
    third.send("kill", attempt=1)
    assert third.expect("exited")["leftovers"] == 1


def test_signals_while_no_daemon_is_there_are_kept(rig: Rig) -> None:
    """The next hello has the signals, in order; a live daemon is told each at once.

    An order does not prove that the daemon acted on a signal. Here it ordered a stop of an attempt
    that never ran, so the next daemon is told the same signals again.
    """
    rig.start()
    first = rig.daemon()
    for name in ("TERM", "HUP"):
        os.kill(rig.pid, getattr(signal, f"SIG{name}"))
        assert first.expect("signal")["signal"] == name
    first.send("stop", attempt=1, signal=15)
    first.send("launch", **rig.request("no-such-program", attempt=9))
    first.expect("start_failed")
    os.kill(first.pid, signal.SIGKILL)
    # This signal may come before or after the reap: the daemon is dead from here on.
    os.kill(rig.pid, signal.SIGUSR1)
    time.sleep(0.01)
    os.kill(rig.pid, signal.SIGTERM)
    second = rig.daemon()
    told = [*second.hello["signals"]]
    while len(told) < 4:
        told.append(second.expect("signal")["signal"])
    assert told == ["TERM", "HUP", "USR1", "TERM"]


def test_a_signal_that_a_dying_daemon_did_not_act_on_is_not_lost(rig: Rig) -> None:
    """A daemon was told of the signal and killed a moment later: the next one is told again."""
    rig.start()
    first = rig.daemon()
    os.kill(rig.pid, signal.SIGTERM)
    first.expect("signal")
    os.kill(first.pid, signal.SIGKILL)
    assert rig.daemon().hello["signals"] == ["TERM"]


def test_a_frozen_daemon_does_not_block_the_launcher(rig: Rig) -> None:
    """The socket and the queue are full: the trainer's end is still seen, and reported later."""
    rig.start()
    daemon = rig.daemon()
    started = rig.launch(daemon, "sleep", "1000")
    os.kill(daemon.pid, signal.SIGSTOP)
    # More messages than the socket's buffer and the queue hold.
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        os.kill(rig.pid, signal.SIGHUP)
    os.kill(started["pid"], signal.SIGKILL)
    rig.wait_until(lambda: rig.is_gone(started["pid"]), "the trainer to be reaped")
    # Its answer to the signals, which is due 15 s after the first of them. To read all that the
    # launcher has queued may take longer.
    daemon.send("noted")
    os.kill(daemon.pid, signal.SIGCONT)
    assert daemon.expect("exited")["signal"] == 9
    rig.finish(daemon)


def test_a_daemon_that_only_talks_is_not_listened_to_for_ever(rig: Rig) -> None:
    """A daemon that sends orders and reads no answer: answers do not pile up in the launcher."""
    rig.start()
    daemon = rig.daemon()
    started = rig.launch(daemon, "sleep", "1000")
    line = encode({"do": "launch", **rig.request("true", attempt=2)})
    daemon.connection.settimeout(1.0)
    with pytest.raises(TimeoutError):
        daemon.connection.sendall(line * 100_000)
    status = Path(f"/proc/{rig.pid}/status").read_text()
    rss_kb = int(status.partition("VmRSS:")[2].split()[0])
    assert rss_kb < 18 << 10
    # The trainer's end is noticed all the same.
    os.kill(started["pid"], signal.SIGKILL)
    rig.wait_until(lambda: rig.is_gone(started["pid"]), "the trainer to be reaped")


def test_garbage_from_the_daemon_is_left_out(rig: Rig) -> None:
    """Lines that are no message, unknown commands and wrong fields change nothing."""
    rig.start()
    daemon = rig.daemon()
    started = rig.launch(daemon, "sleep", "1000")
    daemon.connection.sendall(b"\0\xff{]\n[1]\n\n" + b"x" * 100_000 + b"\n")
    daemon.send("dance", attempt=1)
    daemon.send("signal", attempt=1, signal="x", pids=[started["pid"]])
    daemon.send("stop", attempt=1, signal=None)
    daemon.send("launch", attempt=2)
    assert daemon.expect("start_failed")["attempt"] == 2
    assert not rig.is_gone(started["pid"])
    daemon.send("kill", attempt=1)
    daemon.expect("exited")
    rig.finish(daemon)
    assert "no message" in rig.stderr.read_text()


def test_a_daemon_that_hangs_up_and_stays_is_replaced(rig: Rig) -> None:
    """Its socket is closed but the process lives: the launcher ends it, and starts the next."""
    script = rig.script(
        "deaf.py",
        """\
import os, sys, time
os.close(int(sys.argv[1]))
open(f"deaf.{os.getpid()}", "w").close()
time.sleep(1000)
""",
    )
    rig.start(daemon_argv=[sys.executable, "-S", str(script), "{socket_fd}"])
    rig.wait_until(lambda: len(list(rig.folder.glob("deaf.*"))) >= 3, "a second daemon")
    assert "SIGKILL" in rig.stderr.read_text()


def test_a_daemon_that_cannot_start_ends_the_launcher(rig: Rig) -> None:
    """Five failures in a row before any launch: exit 70."""
    rig.start(daemon_argv=["sh", "-c", "exit 3"])
    assert rig.wait() == 70
    text = rig.stderr.read_text()
    assert text.count("the daemon exited with 3") == 5
    assert "(training goes on)" not in text


def test_a_daemon_program_that_is_not_there_is_named(rig: Rig) -> None:
    """The launcher reports the reason, not only an exit code of 127."""
    rig.start(daemon_argv=["/no/such/daemon"])
    assert rig.wait() == 70
    assert "No such file or directory: '/no/such/daemon'" in rig.stderr.read_text()


def test_alone_with_a_stop_signal_the_launcher_stops_the_trainer(rig: Rig, saver: Path) -> None:
    """No daemon starts for 5 s: the trainer saves, and the exit code is 75."""
    marker = rig.folder / "no-more-daemons"
    relay = rig.script("sometimes.sh", f'#!/bin/sh\n[ -e {marker} ] && exit 9\nexec "$@"\n')
    from_rig = rig.relay_argv()
    rig.start(daemon_argv=[str(relay), *from_rig])
    daemon = rig.daemon()
    rig.launch(daemon, sys.executable, saver, "main", "0.2")
    rig.wait_for_file("main.ready")
    marker.touch()
    begin = time.monotonic()
    os.kill(daemon.pid, signal.SIGKILL)
    rig.wait_until(lambda: "SIGKILL" in rig.stderr.read_text(), "the death to be noticed")
    os.kill(rig.pid, signal.SIGTERM)
    assert rig.wait() == 75
    assert time.monotonic() - begin > 3
    assert rig.wait_for_file("main.saved") == "1"
    assert "there is no daemon" in rig.stderr.read_text()


@pytest.mark.slow
def test_what_was_said_before_a_freeze_is_no_answer_to_a_signal(rig: Rig) -> None:
    """A sign of life sent before the freeze, read after the signal: the daemon is replaced."""
    rig.start()
    first = rig.daemon()
    rig.launch(first, "sleep", "1000")
    os.kill(rig.pid, signal.SIGTERM)
    first.expect("signal")
    first.send("alive")
    os.kill(first.pid, signal.SIGSTOP)
    assert rig.daemon().hello["signals"] == ["TERM"]
    assert "has not answered for 15 s" in rig.stderr.read_text()

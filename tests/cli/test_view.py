"""The live display on a real pseudo-terminal: it only reads, and ends with its terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import FakeRun

VIEW = Path(__file__).resolve().parents[2] / "supervisor" / "cli" / "show" / "view.py"


class Screen:
    """A view process, and the text that it wrote to its terminal."""

    def __init__(self, run_dir: Path, environment: dict[str, str]) -> None:
        self.main, tty = pty.openpty()
        fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.text = ""
        environment = {k: v for k, v in environment.items() if k not in ("COLUMNS", "PYTHONPATH")}
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(VIEW), "--run-dir", str(run_dir)],
            stdin=tty, stdout=tty, stderr=tty, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(tty)

    def until(self, wanted: str) -> str:
        """Read until a text was drawn; all that was drawn since the last call."""
        deadline = time.monotonic() + 40
        while wanted not in self.text:
            assert time.monotonic() < deadline, self.text
            assert self.read(), self.text
        seen, self.text = self.text, ""
        return seen

    def read(self) -> bool:
        """Read what is there; False once the view has closed its terminal."""
        if not select.select([self.main], [], [], 0.2)[0]:
            return True
        try:
            data = os.read(self.main, 1 << 16)
        except OSError:
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)

    def end(self) -> str:
        """Read to the end; the exit code must be 0."""
        while self.read():
            pass
        assert self.process.wait(40) == 0
        return self.text


@pytest.fixture
def screen(fake_run: FakeRun, environment: dict[str, str]) -> Iterator[Screen]:
    """A display of the fake run."""
    screen = Screen(fake_run.run_dir, environment)
    yield screen
    screen.process.kill()
    screen.process.wait()
    os.close(screen.main)


def test_it_draws_what_is_on_record_and_the_end_of_the_log(
    fake_run: FakeRun, screen: Screen
) -> None:
    """The display follows the status; log lines have no control sequences."""
    screen.until("waiting for the daemon's first status")
    fake_run.paths.train_log.write_bytes(b"\x1b[2J\x1b]0;title\x07step 1\r 50%\r\x1b[31m100%\n")
    fake_run.write_status("running")
    fake_run.hold_lock()
    drawn = screen.until("100%")
    assert "]0;title" not in drawn
    assert "6,100 at 1.9 steps/s" in drawn
    os.kill(screen.process.pid, signal.SIGTERM)
    screen.end()


def test_ctrl_c_does_not_end_it_and_says_what_is_saved(fake_run: FakeRun, screen: Screen) -> None:
    """The launcher gets Ctrl-C; the display shows its effect."""
    fake_run.write_status("draining", interrupts=2, stopping={"since": None, "grace_s": 120})
    fake_run.hold_lock()
    screen.until("third")
    screen.process.send_signal(signal.SIGINT)
    fake_run.write_status("killing", stopping={"since": None, "grace_s": 120}, interrupts=3)
    screen.until("killed on request")
    assert screen.process.poll() is None


def test_sigterm_draws_the_final_state(fake_run: FakeRun, screen: Screen) -> None:
    """The terminal keeps how the run ended, and what to type next."""
    fake_run.write_status("running")
    screen.until("6,100")
    fake_run.write_status("completed", reason="finished at step 6100", failure="completed")
    screen.process.terminate()
    assert "--again" in screen.end()


def test_what_others_print_is_left_above(fake_run: FakeRun, screen: Screen) -> None:
    """After a resize or the launcher's output the display draws anew, below the old picture."""
    fake_run.write_status("running")
    assert "\x1b[H\x1b[J" not in screen.until("6,100")
    fcntl.ioctl(screen.main, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 60, 0, 0))
    screen.until("\x1b[H\x1b[J")
    fake_run.write_status("running", pids={"daemon": 99}, step=7001)
    assert "\x1b[H\x1b[J" in screen.until("7,001")
    fake_run.write_status("running", pids={"daemon": 99}, step=7002)
    assert "\x1b[H\x1b[J" not in screen.until("7,002")


def test_a_hangup_ends_it_quietly(screen: Screen) -> None:
    """A closed terminal is no error."""
    screen.until("waiting for")
    screen.process.send_signal(signal.SIGHUP)
    assert "Traceback" not in screen.end()


def test_a_terminal_that_vanishes_ends_it_quietly(
    fake_run: FakeRun, environment: dict[str, str]
) -> None:
    """EIO from a terminal that is gone: the view exits without a message."""
    screen = Screen(fake_run.run_dir, environment)
    screen.until("waiting for")
    os.close(screen.main)
    fake_run.write_status("running")
    assert screen.process.wait(40) in (0, -signal.SIGHUP)

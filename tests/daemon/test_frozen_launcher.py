"""A launcher that is stopped by a signal, as the daemon sees it."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from supervisor.daemon.look.frozen_launcher import FrozenLauncher, is_frozen


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    """A process in the launcher's place."""
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def freeze(pid: int) -> None:
    """Stop a child and wait until it is stopped."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def thaw(pid: int) -> None:
    """Continue a child, and wait until it runs."""
    os.kill(pid, signal.SIGCONT)
    os.waitid(os.P_PID, pid, os.WCONTINUED)


def test_it_is_told_while_it_lasts(process: "subprocess.Popen[bytes]") -> None:
    """The warning comes at once, the line a little later; the last look returns the duration."""
    said: list[str] = []
    launcher = FrozenLauncher(process.pid, lambda line, _: said.append(line))
    assert launcher.look(10.0) is None
    assert (launcher.is_frozen, launcher.warning) == (False, None)
    freeze(process.pid)
    assert launcher.look(11.0) is None
    assert launcher.is_frozen
    assert f"kill -CONT {process.pid}" in str(launcher.warning)
    assert said == []
    launcher.look(13.5)
    launcher.look(14.0)
    assert said == [launcher.warning]
    thaw(process.pid)
    assert launcher.look(15.0) == 4.0
    assert (launcher.is_frozen, launcher.warning) == (False, None)
    assert said[1:] == ["the launcher goes on again"]
    assert launcher.look(16.0) is None


def test_a_blink_is_not_said(process: "subprocess.Popen[bytes]") -> None:
    """A short stop, like Ctrl-Z and fg, prints no line."""
    said: list[str] = []
    launcher = FrozenLauncher(process.pid, lambda line, _: said.append(line))
    freeze(process.pid)
    launcher.look(1.0)
    thaw(process.pid)
    assert launcher.look(1.5) == 0.5
    assert said == []


def test_who_is_not_there_is_not_frozen() -> None:
    """A launcher that is gone or unknown is not frozen."""
    assert FrozenLauncher(None, lambda *_: None).look(1.0) is None
    child = subprocess.Popen(["true"])
    child.wait()
    assert not is_frozen(child.pid)

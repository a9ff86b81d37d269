"""Tests of the end of a child process: it is killed and reaped, and not waited for if it lives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.system.child_end import end_child

SLEEPS = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]


def test_a_child_is_killed_reaped_and_its_pipes_are_closed() -> None:
    """A child that ignores all else is gone, is no zombie, and holds no descriptor of ours."""
    child = subprocess.Popen(
        SLEEPS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    pipes = [pipe for pipe in (child.stdin, child.stdout, child.stderr) if pipe is not None]
    assert len(pipes) == 3
    pipes[1].readline()
    pipes[0].write(b"x" * 100)  # stays in the buffer: the child is gone when it is flushed
    assert end_child(child, 10.0)
    assert child.returncode == -9
    assert all(pipe.closed for pipe in pipes)
    assert not Path(f"/proc/{child.pid}").exists()


def test_a_child_that_has_ended_already_keeps_its_exit_code() -> None:
    """The code is the child's own, and a second call does nothing."""
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert end_child(child)
    assert child.returncode == 3
    assert end_child(child)


def test_a_child_that_sigkill_does_not_end_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told as living, and a later look reaps it."""
    child = subprocess.Popen(SLEEPS, stdout=subprocess.PIPE)
    with monkeypatch.context() as patch:
        patch.setattr(child, "kill", lambda: None)  # as inside a dead file server
        assert not end_child(child, 0.0)
    assert child.returncode is None
    assert end_child(child, 10.0)

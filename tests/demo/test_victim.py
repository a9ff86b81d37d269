"""Hitting a process: its state while stopped decides, and only the attempt's own pid counts."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.__main__ import prepare
from demo.runs import DemoError
from demo.victim import Victim


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with the marks of attempt 3."""
    environment = {**os.environ, "SUPERVISOR_ATTEMPT": "3", "SUPERVISOR_HEARTBEAT": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", "while True: pass"], env=environment) as started:
        yield started
        started.kill()


def state_of(pid: int) -> str:
    """The process's state as one letter, as in ps."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_it_is_looked_at_while_it_stands_still(process: subprocess.Popen[bytes]) -> None:
    """If the look fails the process goes on; if it holds the process dies of SIGKILL."""
    victim = Victim.of_attempt(process.pid, 3)
    states = []

    def look(answer: bool) -> bool:
        states.append(state_of(process.pid))
        return answer

    assert not victim.kill_if(lambda: look(False))
    assert state_of(process.pid) in "RS"
    assert victim.kill_if(lambda: look(True))
    assert process.wait() == -signal.SIGKILL
    assert states == ["T", "T"]


def test_another_attempt_is_never_hit(process: subprocess.Popen[bytes]) -> None:
    """A pid without the attempt's mark is refused."""
    with pytest.raises(ProcessLookupError, match="not attempt 4"):
        Victim.of_attempt(process.pid, 4)


def test_an_earlier_demo_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    """The output folder is emptied only if the demo's own mark is in it."""
    mine, foreign = tmp_path / "mine", tmp_path / "foreign"
    prepare(mine)
    (mine / "old").touch()
    prepare(mine)
    assert not (mine / "old").exists()
    foreign.mkdir()
    (foreign / "thesis.tex").touch()
    with pytest.raises(DemoError, match="choose another"):
        prepare(foreign)
    assert (foreign / "thesis.tex").exists()

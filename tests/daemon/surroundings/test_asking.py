"""The daemon's side: a child that answers, one that fails, one that never answers."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.daemon.look.surroundings.asking import DEADLINE_S, Compared, SurroundingsChild
from supervisor.daemon.look.surroundings.comparing import Change
from supervisor.daemon.look.surroundings.step_time import LEAST_SPANS, SPAN_S, StepTime


def question(folder: Path, **more: Any) -> dict[str, Any]:
    """What is asked of the real child."""
    return {
        "attempt": 1, "since": None, "began": 0.0, "folder": str(folder), "run_id": "mine",
        "command": [sys.executable, "train.py"], "env": {}, "pids": [], **more,
    }  # fmt: skip


def answer_of(child: SurroundingsChild) -> Compared:
    """Its answer, waited for."""
    until = time.monotonic() + 60
    while (found := child.poll(0.0)) is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def test_a_real_child(tmp_path: Path) -> None:
    """Started as the daemon starts it; it reads, keeps and compares."""
    child = SurroundingsChild()
    assert child.ask(question(tmp_path / "kept"), 0.0) is None
    assert child.is_asked
    assert answer_of(child) == Compared()
    assert not child.is_asked
    later = question(tmp_path / "kept", attempt=2, since=1, env={"NCCL_DEBUG": "INFO"})
    assert child.ask(later, 0.0) is None
    assert answer_of(child).changes == (Change("variable", "NCCL_DEBUG", None, "INFO"),)
    record = json.loads((tmp_path / "kept" / "0002.json").read_text())
    assert record["python"]
    assert "pytest" in record["packages"]


def test_a_fifo_among_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would block for ever is passed over."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "train.py")
    child = SurroundingsChild()
    assert child.ask(question(tmp_path / "kept"), 0.0) is None
    assert answer_of(child) == Compared()


def blocked(tmp_path: Path) -> Path:
    """A child that a disk holds up: it opens a fifo that nobody writes to."""
    os.mkfifo(tmp_path / "fifo")
    program = tmp_path / "blocked.py"
    program.write_text(f"open({str(tmp_path / 'fifo')!r})\n")
    return program


def test_no_answer_within_the_deadline(tmp_path: Path) -> None:
    """It is killed, and the daemon has never waited for it."""
    child = SurroundingsChild(blocked(tmp_path))
    before = time.monotonic()
    assert child.ask(question(tmp_path), 100.0) is None
    assert child.poll(100.0 + DEADLINE_S - 1) is None
    found = child.poll(100.0 + DEADLINE_S)
    assert time.monotonic() - before < DEADLINE_S / 2
    assert found is not None
    assert found.problem == "no answer within 30 s"
    assert child.poll(200.0) is None
    child._child._lost[0].wait()


def test_no_second_one_beside_one_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a dead disk, where not even SIGKILL ends it."""
    child = SurroundingsChild(blocked(tmp_path))
    child.ask(question(tmp_path), 0.0)
    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen.kill", lambda _: None)
        child.cancel()
    refused = child.ask(question(tmp_path), 0.0)
    assert refused is not None
    assert refused.problem == "an earlier look has not ended"
    for lost in child._child._lost:
        lost.kill()
        lost.wait()
    assert child.ask(question(tmp_path), 0.0) is None
    child.cancel()
    child._child._lost[0].wait()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("raise ValueError('broken')", "ValueError: broken"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("print('{}')", "exit code 0"),
        ('print(\'{"changes": [[1, 2, 3, 4, 5, 6, 7]], "more": 0}\')', "exit code 0"),
    ],
)
def test_a_child_that_fails(tmp_path: Path, text: str, problem: str) -> None:
    """Its last words say why nothing is known."""
    program = tmp_path / "program.py"
    program.write_text(text)
    child = SurroundingsChild(program)
    child.ask(question(tmp_path), 0.0)
    assert answer_of(child).problem == problem


def test_a_command_that_no_pipe_takes(tmp_path: Path) -> None:
    """The daemon would wait for the child to read it."""
    refused = SurroundingsChild().ask(question(tmp_path, command=["x" * 100_000]), 0.0)
    assert refused == Compared(problem="the command is too long")


def test_the_typical_time_of_a_step() -> None:
    """The median of spans: one long evaluation is not in it; steps that go back begin anew."""
    times = StepTime()
    now, step = 0.0, 0
    for _ in range(int(SPAN_S * (LEAST_SPANS - 1) / 0.5) + 1):
        times.note(now, step)
        now, step = now + 0.5, step + 1
    assert times.typical_s is None
    now += 600.0
    for _ in range(200):
        times.note(now, step)
        now, step = now + 0.5, step + 1
    assert times.typical_s == pytest.approx(0.5)
    times.note(now, None)
    times.note(now + 1000.0, 3)
    times.note(now + 1000.0 + SPAN_S, 23)
    assert times.typical_s == pytest.approx(0.5)

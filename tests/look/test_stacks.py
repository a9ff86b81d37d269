"""Stacks of real hung processes: attached ones by faulthandler, others by py-spy."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from supervisor.daemon.look import stacks
from supervisor.daemon.look.counters import with_descendants
from supervisor.daemon.look.stacks import StackDump
from supervisor.worker.heartbeat import Page
from supervisor.worker.page_reading import read_pages

ROOT = Path(__file__).resolve().parents[2]
HANG = "import time\ndef stuck_here():\n    print('ready', flush=True)\n    time.sleep(1000)\n"
ATTACHED = f"from supervisor.worker import attach\nattach().beat(step=1)\n{HANG}stuck_here()\n"

Start = Callable[..., int]

pytestmark = pytest.mark.skipif(stacks.find_py_spy() is None, reason="py-spy is not installed")


@pytest.fixture
def heartbeats(tmp_path: Path) -> Path:
    """The heartbeat directory."""
    (tmp_path / "heartbeats").mkdir()
    return tmp_path / "heartbeats"


@pytest.fixture
def start(heartbeats: Path, start_ready: Start) -> Start:
    """Return a function that starts a command that may attach, and returns its pid when ready."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SUPERVISOR_HEARTBEAT": str(heartbeats)}
    return partial(start_ready, env=env)


def finish(dump: StackDump) -> float:
    """Send the signals and poll to the end; return the longest poll in seconds."""
    dump.start()
    for pid in dump.to_signal:
        os.kill(pid, signal.SIGUSR2)
    longest = 0.0
    while True:
        began = time.monotonic()
        done = dump.poll()
        longest = max(longest, time.monotonic() - began)
        if done:
            return longest
        time.sleep(0.02)


def wait_until_asleep(pid: int) -> None:
    """Wait until the process sleeps: it says that it is ready a moment before."""
    deadline = time.monotonic() + 40
    while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "S":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_python_process_that_is_not_attached(start: Start, tmp_path: Path) -> None:
    """py-spy names the function that hangs, and no poll waits for py-spy."""
    pid = start(sys.executable, "-c", HANG + "stuck_here()")
    wait_until_asleep(pid)
    dump = StackDump(tmp_path / "incident", [], pid, tmp_path)
    assert dump.to_signal == ()
    assert finish(dump) < 1.0
    assert dump.problems == []
    assert "stuck_here" in (tmp_path / "incident" / f"stacks-{pid}.txt").read_text()
    text = (tmp_path / "incident/processes.txt").read_text()
    assert text.startswith(f"process {pid} (python")
    assert ": sleeping" in text
    assert f"thread {pid}: S (sleeping), waits in" in text


def test_a_shell_script_with_a_python_child(start: Start, tmp_path: Path) -> None:
    """The dump has the child's stacks, and the shell's state too."""
    pid = start("bash", "-c", f'{sys.executable} -c "$0"; true', HANG + "stuck_here()")
    (_, child) = with_descendants([pid])
    dump = StackDump(tmp_path / "incident", [], pid, tmp_path)
    finish(dump)
    assert "stuck_here" in (tmp_path / "incident" / f"stacks-{child}.txt").read_text()
    text = (tmp_path / "incident/processes.txt").read_text()
    assert f"process {pid} (bash)" in text
    assert f"process {child} (" in text
    assert sorted(os.listdir(tmp_path / "incident")) == ["processes.txt", f"stacks-{child}.txt"]


def test_an_attached_process_writes_its_own(start: Start, tmp_path: Path, heartbeats: Path) -> None:
    """Only what the process wrote this time is copied, and the process goes on."""
    pid = start(sys.executable, "-c", ATTACHED)
    (heartbeats / "stacks-0.txt").write_text("an earlier dump\n")
    dump = StackDump(tmp_path / "incident", read_pages(heartbeats), pid, heartbeats)
    assert dump.to_signal == (pid,)
    assert finish(dump) < 1.0
    assert dump.problems == []
    text = (tmp_path / "incident" / f"stacks-{pid}.txt").read_text()
    assert "in stuck_here" in text
    assert "Current thread" in text or "Thread 0x" in text
    assert "earlier" not in text
    os.kill(pid, 0)


def test_a_stopped_process(start: Start, tmp_path: Path, heartbeats: Path) -> None:
    """A stopped process cannot answer: its state is named, and py-spy reads its stacks."""
    pid = start(sys.executable, "-c", ATTACHED)
    os.kill(pid, signal.SIGSTOP)
    while "T (stopped)" not in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.01)
    dump = StackDump(tmp_path / "incident", read_pages(heartbeats), pid, heartbeats)
    finish(dump)
    assert dump.problems == [f"process {pid} did not answer SIGUSR2, so py-spy was asked"]
    assert "stuck_here" in (tmp_path / "incident" / f"stacks-{pid}.txt").read_text()
    text = (tmp_path / "incident/processes.txt").read_text()
    assert "stopped by a signal (SIGSTOP, SIGTSTP)" in text
    assert "State: T (stopped)" in text


def test_sigusr2_is_kept_from_whom_it_would_kill(
    start: Start, tmp_path: Path, heartbeats: Path
) -> None:
    """A trainer that replaced itself by exec has the same pid and page, but no handler."""
    argv = f"[sys.executable, '-c', {HANG!r} + 'stuck_here()']"
    again = f"import os, sys; os.execv(sys.executable, {argv})"
    pid = start(sys.executable, "-c", f"from supervisor.worker import attach\nattach()\n{again}")
    (page,) = read_pages(heartbeats)
    assert page.stacks_armed
    dump = StackDump(tmp_path / "incident", [page], pid, heartbeats)
    assert dump.to_signal == ()
    finish(dump)
    assert "stuck_here" in (tmp_path / "incident" / f"stacks-{pid}.txt").read_text()


def test_a_page_of_a_dead_process_names_nobody(
    start: Start, tmp_path: Path, heartbeats: Path
) -> None:
    """The page's pid may belong to another process by now."""
    pid = start(sys.executable, "-c", ATTACHED)
    (page,) = read_pages(heartbeats)
    stale: Page = page._replace(start_ticks=page.start_ticks - 1)
    assert StackDump(tmp_path / "incident", [stale], pid, heartbeats).to_signal == ()


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None) -> None:
    """Put a script, or nothing, in py-spy's place."""
    path = tmp_path / "py-spy"
    if script is not None:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setattr(stacks, "find_py_spy", lambda: str(path) if script else None)


def test_py_spy_is_missing(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file says that py-spy is missing, and the kernel's part is written all the same."""
    fake(tmp_path, monkeypatch, None)
    pid = start(sys.executable, "-c", HANG + "stuck_here()")
    dump = StackDump(tmp_path / "incident", [], pid, tmp_path)
    finish(dump)
    text = (tmp_path / "incident" / f"stacks-{pid}.txt").read_text()
    assert "pip install py-spy" in text
    assert dump.problems == ["py-spy is not installed: pip install py-spy"]
    assert (tmp_path / "incident/processes.txt").exists()


def test_py_spy_is_not_permitted(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """py-spy's error is kept, with a hint where to look."""
    fake(tmp_path, monkeypatch, "echo 'Error: Permission Denied (os error 13)' >&2; exit 1")
    pid = start(sys.executable, "-c", HANG + "stuck_here()")
    finish(StackDump(tmp_path / "incident", [], pid, tmp_path))
    text = (tmp_path / "incident" / f"stacks-{pid}.txt").read_text()
    assert "Permission Denied" in text
    assert "kernel.yama.ptrace_scope" in text


def test_py_spy_hangs(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """py-spy is ended at the deadline, and the dump with it."""
    fake(tmp_path, monkeypatch, "exec sleep 1000")
    monkeypatch.setattr(stacks, "DEADLINE_S", 0.5)
    pid = start(sys.executable, "-c", HANG + "stuck_here()")
    dump = StackDump(tmp_path / "incident", [], pid, tmp_path)
    began = time.monotonic()
    assert finish(dump) < 1.0
    assert time.monotonic() - began < 5
    assert dump.problems == [f"py-spy gave no stacks of process {pid} in 0.5 s"]


def test_nowhere_to_write(start: Start, tmp_path: Path) -> None:
    """A folder that cannot be made is reported, and raises nothing."""
    (tmp_path / "file").touch()
    pid = start(sys.executable, "-c", HANG + "stuck_here()")
    dump = StackDump(tmp_path / "file/incident", [], pid, tmp_path)
    finish(dump)
    assert any("cannot write to" in problem for problem in dump.problems)

"""`supervisor run` from the command line to the launcher and back, with a real daemon."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from supervisor.rundir.ledger import read_ledger
from supervisor.rundir.lock import is_held
from supervisor.rundir.paths import RunPaths

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command


def write_config(tmp_path: Path, script: str) -> Path:
    """Write the configuration of a run `r` of a shell script."""
    path = tmp_path / "r.yaml"
    path.write_text(f"name: r\ncommand: [bash, -c, '{script}']\n")
    return path


def test_a_command_is_run_to_its_end_and_no_second_time(command: Command, tmp_path: Path) -> None:
    """`run` exits 0 in a private directory; a second start runs nothing, --again does."""
    config = write_config(tmp_path, "echo hello; echo x >> count")
    done = command("run", config)
    assert done.returncode == 0, done.stderr
    paths = RunPaths(tmp_path / "runs" / "r")
    assert paths.train_log.read_text() == "hello\n"
    assert paths.state_dir.stat().st_mode & 0o777 == 0o700
    assert command("run", config).returncode == 0
    assert (tmp_path / "count").read_text() == "x\n"
    assert command("run", config, "--again", "-q").returncode == 0
    assert (tmp_path / "count").read_text() == "x\nx\n"
    assert json.loads(command("status", "--json").stdout)["state"] == "completed"


def test_quiet_says_nothing(command: Command, tmp_path: Path) -> None:
    """With -q stdout is empty."""
    done = command("run", "-q", write_config(tmp_path, "echo hello"))
    assert (done.returncode, done.stdout) == (0, "")


def test_detach_runs_on_without_a_terminal(command: Command, tmp_path: Path) -> None:
    """`--detach` returns at once, and `stop` ends the run from another shell."""
    script = 'trap "exit 75" TERM; echo up; while true; do sleep 0.1; done'
    config = tmp_path / "r.yaml"
    config.write_text(json.dumps({"name": "r", "command": ["bash", "-c", script]}))
    done = command("run", "--detach", config)
    assert done.returncode == 0, done.stderr
    assert "supervisor stop" in done.stdout
    paths = RunPaths(tmp_path / "runs" / "r")
    assert is_held(paths)
    second = command("run", "--detach", config)
    assert second.returncode == 69
    deadline = time.monotonic() + 40
    while not paths.train_log.exists() or "up" not in paths.train_log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert command("reload").returncode == 0
    stopped = command("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert not is_held(paths)
    assert command("run", config).returncode == 75
    kinds = [entry["type"] for entry in read_ledger(paths.ledger)]
    assert kinds.count("attempt_started") == 1
    assert kinds.count("daemon_started") == 2


def test_a_held_run_goes_on_after_resume(command: Command, tmp_path: Path) -> None:
    """A held run exits 1 and stays held; after `resume` the next start launches again."""
    config = tmp_path / "r.yaml"
    config.write_text(
        "name: r\ncommand: [bash, -c, 'test -e ok']\n"
        "restart: {max_failures: 1, backoff: 10ms, backoff_max: 20ms}\n"
    )
    assert command("run", config).returncode == 1
    assert command("run", config).returncode == 1
    paths = RunPaths(tmp_path / "runs" / "r")
    attempts = [e for e in read_ledger(paths.ledger) if e["type"] == "attempt_started"]
    assert command("resume").returncode == 0
    (tmp_path / "ok").write_text("")
    done = command("run", config)
    assert done.returncode == 0, done.stderr
    after = [e for e in read_ledger(paths.ledger) if e["type"] == "attempt_started"]
    assert len(after) == len(attempts) + 1

"""The run's record is removed while it trains: a second `run` is refused, and it is made anew."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Supervised, uninterrupted


def remove(run: Supervised, what: str) -> None:
    """Remove a part of the record, as a user at a shell would."""
    if what == "lock":
        run.paths.lock.unlink()
    elif what == "ledger":
        run.paths.ledger.unlink()
    else:
        shutil.rmtree({"record": run.paths.state_dir, "directory": run.run_dir}[what])


@pytest.mark.parametrize("what", ["lock", "ledger", "record", "directory"])
def test_a_removed_record_is_made_anew(run: Supervised, tmp_path: Path, what: str) -> None:
    """A second `run` is refused, the trainer does not notice, and the record is there again."""
    (tmp_path / "out").mkdir()
    run.configure(hold=25, checkpoints={"directory": "out"}, env={"OUTPUT": tmp_path / "out"})
    process = run.start()
    trainer = run.wait_step(12)
    run.wait(lambda: run.entries("checkpoint"))
    (created,) = run.entries("run_created")
    assert run.command("hold").returncode == 0
    run.wait(lambda: run.entries("intent"))
    before = run.paths.lock.read_text()
    remove(run, what)
    command = ["run", str(run.config), "--plain"]
    if what != "ledger":
        refused = run.raw(*command)
        assert refused.returncode == 69, refused
        assert "another supervisor has this run" in refused.stderr
        assert f"pid {process.pid}" in refused.stderr
    run.wait(lambda: run.paths.ledger.exists() and run.entries("record_remade"))
    run.wait(lambda: len(run.entries("daemon_started")) == 2 and run.status.get("step"))
    run.wait(lambda: run.status.get("intent") == "hold")
    assert json.loads(run.paths.lock.read_text()) == json.loads(before)
    assert run.entries("run_created") == [created]
    assert run.status["pids"]["trainer"] == trainer
    assert run.status["run_id"] == created["run_id"]
    refused = run.raw(*command)
    assert (refused.returncode, "since" in refused.stderr) == (69, True)
    assert json.loads(run.command("status", "--json").stdout)["live"] is True
    name = "ledger.jsonl" if what == "ledger" else "run.lock"
    assert f"was removed: made anew: {name}" in run.text
    assert run.command("resume").returncode == 0
    run.let_go()
    assert run.finish() == 0
    assert len(run.entries("attempt_started")) == 1
    assert float((tmp_path / "out" / "checkpoint-40" / "model.pt").read_text()) == uninterrupted()
    assert "RemoveIPC" not in run.text


def test_another_runs_launcher_refuses_nobody(run: Supervised, tmp_path: Path) -> None:
    """Only a living launcher of this very directory refuses a second `run`."""
    run.configure(hold=5)
    run.start()
    run.wait_step(5)
    other = tmp_path / "other"
    other.mkdir()
    (other / "c.yaml").write_text(f"name: e2e\ncommand: ['true']\nrun_dir: {other}/run\n")
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", "run", "-q", "c.yaml"], cwd=other, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0
    # The same directory by another name counts as the same.
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    run.paths.lock.unlink()
    body = run.config.read_text().replace(str(run.run_dir), str(link / "run"))
    (tmp_path / "again.yaml").write_text(body)
    assert run.raw("run", str(tmp_path / "again.yaml")).returncode == 69
    assert os.path.lexists(link)
    run.let_go()
    assert run.finish() == 0

"""`supervisor status`: true with and without a daemon, and quick."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.record import _KEYS, read_record
from supervisor.cli.show.summary import summary_lines
from supervisor.core.json_form import from_json, to_json
from supervisor.core.status import Status
from supervisor.core.unwatched_status import NoDaemon
from supervisor.launcher.children.daemon_down import FILE as ABSENCE_FILE
from supervisor.launcher.children.daemon_down import LOUD_FROM, DaemonDown
from supervisor.rundir.paths import RunPaths
from supervisor.system.clock import rfc3339
from tests.core.test_json_form import JSON

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeRun


def test_a_live_run_is_shown(command: Command, fake_run: FakeRun) -> None:
    """`status` shows state, step, checkpoint and failure, in 80 columns without colour."""
    fake_run.write_status("running")
    fake_run.hold_lock()
    done = command("status")
    assert done.returncode == 0
    assert done.stdout.startswith("demo  running  attempt 3 (2 restarts)")
    assert "step 6,100 at 1.9 steps/s, epoch 117, loss 1.234" in done.stdout
    assert "checkpoint-6000 (step 6,000, periodic)" in done.stdout
    assert "killed → restart" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80 + len(str(fake_run.run_dir))


def test_json_has_every_contract_key(command: Command, fake_run: FakeRun) -> None:
    """An absent value is null, never missing."""
    fake_run.write_status("running")
    fake_run.hold_lock()
    body = json.loads(command("status", fake_run.run_dir, "--json").stdout)
    contract = "run state attempt restarts pids phase step epoch loss heartbeat_age_s checkpoint"
    assert set(contract.split()) | {"failure", "action", "updated_at", "goodput"} <= set(body)
    assert body["state"] == "running"
    assert body["live"] is True
    assert body["pids"] == {"launcher": 11, "daemon": 12, "trainer": 13}
    assert body["goodput"] is None


def test_a_run_whose_supervisor_is_gone_is_down(command: Command, fake_run: FakeRun) -> None:
    """`running` in status.json counts only with a living lock holder; no stale pid is shown."""
    fake_run.write_status("running")
    fake_run.hold_lock()
    fake_run.end()
    text = command("status").stdout
    assert text.startswith("demo  down")
    assert "supervisor run /etc/config.yaml" in text
    body = json.loads(command("status", "--json").stdout)
    assert (body["state"], body["last_state"], body["live"]) == ("down", "running", False)
    assert body["pids"] == {"launcher": None, "daemon": None, "trainer": None}


@pytest.mark.parametrize(
    ("free", "words"),
    [(2, "0 of 5 failures without progress, 0 of 50 today; 2 free restarts without progress"),
     (1, "; 1 free restart without progress"), (0, None), (None, None)],
)  # fmt: skip
def test_free_restarts_are_told_beside_the_budget(
    command: Command, fake_run: FakeRun, free: int | None, words: str | None
) -> None:
    """They are part of none; a daemon of the version before does not count them."""
    budget = {"failures": 0, "max_failures": 5, "today": 0, "max_per_day": 50}
    fake_run.write_status("running", budget={**budget, "free_restarts": free})
    fake_run.hold_lock()
    text = " ".join(command("status").stdout.split())
    assert ("budget" in text) == (words is not None)
    assert words is None or words in text


def test_a_status_that_is_not_written_grows_old(command: Command, fake_run: FakeRun) -> None:
    """On a full disk status.json is outdated, so its ages are counted from its own time."""
    written = rfc3339(time.time() - 50)
    fake_run.write_status("running", updated_at=written, heartbeat_age_s=10.0)
    fake_run.hold_lock()
    text = command("status").stdout
    assert "last heartbeat 1m" in text
    assert "the daemon no longer writes" in text


@pytest.mark.parametrize(
    ("phase", "words"),
    [("save", "the trainer is saving step 6,100"), (None, "was asked to save and end")],
)
def test_only_a_save_that_is_seen_is_told(
    command: Command, fake_run: FakeRun, phase: str | None, words: str
) -> None:
    """A command that ignores SIGTERM saves nothing, so the status must not say that it saves."""
    stopping = {"since": rfc3339(time.time()), "grace_s": 120}
    fake_run.write_status("draining", phase=phase, stopping=stopping)
    fake_run.hold_lock()
    text = " ".join(command("status").stdout.split())
    assert words in text
    assert ("is saving" in text) is (phase == "save")


def test_a_closed_stdout_is_no_failure_of_ours(
    fake_run: FakeRun, environment: dict[str, str]
) -> None:
    """`supervisor status >&-` in a script that closed its output."""
    fake_run.write_status("completed")
    words = f"exec {sys.executable} -m supervisor status {fake_run.run_dir} >&-"
    done = subprocess.run(
        ["bash", "-c", words], env=environment, stderr=subprocess.PIPE, check=False, timeout=50
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_ended_run_keeps_its_state(command: Command, fake_run: FakeRun) -> None:
    """A held run shows what to type next."""
    fake_run.write_status("held", reason="5 failures without a newer valid checkpoint")
    text = command("status").stdout
    assert text.startswith("demo  held")
    assert "5 failures without a newer valid checkpoint" in text
    assert "supervisor resume" in text


def test_a_run_without_a_status_is_no_error(command: Command, fake_run: FakeRun) -> None:
    """A torn or missing status.json counts as none."""
    assert command("status").stdout.startswith("demo  never started")
    fake_run.paths.status.write_text('{"state": "runn')
    done = command("status", "--json")
    assert json.loads(done.stdout)["state"] is None


def test_log_text_cannot_steer_the_terminal(command: Command, fake_run: FakeRun) -> None:
    """Control sequences in an exception's text are removed."""
    fake_run.write_status("running", reason="bad \x1b]0;title\x07\x1b[2Jthing")
    assert "bad thing" in command("status").stdout


@pytest.mark.parametrize("target", [None, "run_dir", "config"])
def test_status_is_quick(
    tmp_path: Path, fake_run: FakeRun, environment: dict[str, str], target: str | None
) -> None:
    """Slow modules are not imported; `benchmarks/overhead.py` measures the time."""
    fake_run.write_status("running")
    fake_run.hold_lock()
    config = tmp_path / "config.yaml"
    config.write_text(f"name: demo\ncommand: [a]\nrun_dir: {fake_run.run_dir}\n")
    words = {None: [], "run_dir": [str(fake_run.run_dir)], "config": [str(config)]}[target]
    argv = [sys.executable, "-X", "importtime", "-m", "supervisor", "status", *words]
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    lines = subprocess.run(argv, **options, check=True).stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines}
    packages = {name.split(".")[0] for name in imported}
    slow = {"pydantic", "rich", "psutil", "structlog", "watchdog", "asyncio", "xxhash"}
    if target != "config":
        slow.add("yaml")
    assert not slow & packages
    assert "supervisor.core.states" not in imported


def test_a_stopped_launcher_is_told(command: Command, fake_run: FakeRun) -> None:
    """Whatever the daemon last wrote, nothing is being killed, and nothing comes next."""
    fake_run.write_status(
        "killing",
        stopping={"by": "SIGTERM", "since": rfc3339(time.time()), "grace_s": 10},
        interrupts=3,
        next_at=rfc3339(time.time() + 60),
    )
    holder = fake_run.hold_lock()
    assert "is being killed" in command("status").stdout
    holder.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, holder.pid, os.WSTOPPED)
    said = " ".join(command("status").stdout.split())
    assert f"FROZEN: the launcher (pid {holder.pid}) is stopped by a signal" in said
    assert "is being killed" not in said
    assert " next " not in said
    assert json.loads(command("status", "--json").stdout)["launcher_frozen"] is True


def test_every_key_has_its_place() -> None:
    """A new key of `status.json` must be null in `--json` without a status."""
    late = {"world_size", "launch"}
    added = {"no_daemon", "still_running"}
    assert set(_KEYS) | late == {field.name for field in fields(Status)} | added


@given(damage=st.dictionaries(st.sampled_from(_KEYS), JSON, max_size=6))
def test_a_damaged_status_is_shown(damage: dict[str, object]) -> None:
    """For any content of the file, lines and JSON have what fits."""
    with tempfile.TemporaryDirectory() as folder:
        paths = RunPaths(Path(folder))
        paths.state_dir.mkdir()
        paths.status.write_text(json.dumps({"state": "held", "run": "demo", **damage}))
        record = read_record(paths.run_dir)
        assert summary_lines(record, now_s=0.0)
        assert list(record.as_json())[: len(_KEYS)] == list(_KEYS)


def test_what_the_launcher_says_of_daemons_is_shown_whole(tmp_path: Path) -> None:
    """The launcher, without dataclasses, writes exactly the fields of the record."""
    absence = DaemonDown(str(tmp_path))
    for _ in range(LOUD_FROM):
        absence.note("was ended by SIGKILL", 0.0, 0.2, "")
    os.waitpid(absence.pid, 0)
    said = json.loads((tmp_path / ABSENCE_FILE).read_text())
    found = from_json(NoDaemon, said)
    assert found is not None
    assert to_json(found) == said

"""The memory tier in the commands: what they show is true with and without a daemon."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from supervisor.cli import runtime_directories
from supervisor.cli.ask_survey import request_of
from supervisor.cli.commands.checkpoints import checkpoints_command
from supervisor.cli.preflight import shared_memory
from supervisor.cli.preflight.finding import Level
from supervisor.cli.preflight.logind import removes_shared_memory
from supervisor.cli.record import read_record
from supervisor.cli.show.memory_tier import persister_text
from supervisor.cli.show.summary import summary_lines
from supervisor.core.json_form import from_json
from supervisor.core.status import PersisterStatus
from supervisor.memory.space import MemoryRoom
from supervisor.survey.survey import survey
from supervisor.system.clock import wall_s
from tests.checkpoint.conftest import write_snapshot
from tests.cli.conftest import Command, FakeRun

FILES = {"model.bin": b"weights"}
SNAPSHOT = {"step": 6090, "age_s": 7200.0, "bytes": 1 << 30, "slots": 2, "tmpfs_bytes": 2 << 30}
IDLE = {
    "state": "idle", "step": None, "done": None, "bytes_per_s": 5 << 20,
    "last_error": None, "pending": None,
}  # fmt: skip
PERSISTER = {**IDLE, "state": "persisting", "step": 6000, "done": 0.43, "pending": 6090}


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This user's directory in a shared memory of the test."""
    monkeypatch.setattr(runtime_directories, "SHARED_MEMORY", tmp_path / "shm")
    path = tmp_path / "shm" / f"train-supervisor-{os.getuid()}"
    path.mkdir(parents=True, mode=0o700)
    return path


def test_a_live_run_shows_what_the_daemon_says(command: Command, fake_run: FakeRun) -> None:
    """The newest snapshot, what it occupies, and what is on its way to the disk."""
    fake_run.write_status("running", snapshot=SNAPSHOT, persister=PERSISTER)
    fake_run.hold_lock()
    text = " ".join(command("status").stdout.split())
    assert "snapshot step 6,090 in memory, 2h" in text
    assert "(1.0 GiB; 2.0 GiB of shared memory)" in text
    assert "persister step 6,000 to the disk, 43 % done, at 5.0 MiB/s; step 6,090 waits" in text
    body = json.loads(command("status", "--json").stdout)
    assert (body["snapshot"], body["persister"]) == (SNAPSHOT, PERSISTER)


def test_a_dead_run_shows_what_is_there(shared: Path, fake_run: FakeRun) -> None:
    """The last daemon's report on memory may be outdated; the snapshot that is there is shown."""
    fake_run.write_status("running", snapshot=SNAPSHOT, persister=PERSISTER)
    record = read_record(fake_run.run_dir)
    assert record.snapshot is None
    assert record.as_json()["snapshot"] is None
    assert record.as_json()["persister"] is None
    root = shared / "r1" / "snapshots"
    write_snapshot(root, fake_run.run_dir, FILES, 6093, run_id="r1")
    record = read_record(fake_run.run_dir)
    found = record.as_json()["snapshot"]
    assert (found["step"], found["slots"]) == (6093, 1)
    text = " ".join(" ".join(summary_lines(record, now_s=wall_s())).split())
    assert "step 6,093 in memory" in text
    assert "not on the disk: `supervisor run` goes on from this step" in text
    fake_run.write_status("running", checkpoint={"path": "/o/checkpoint-7000", "step": 7000})
    lines = summary_lines(read_record(fake_run.run_dir), now_s=wall_s())
    assert "not on the disk" not in " ".join(lines)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "idle; it wrote the last snapshot at 5.0 MiB/s"),
        ({"bytes_per_s": None}, "idle"),
        ({"state": "vetting", "bytes_per_s": None}, "checks whether"),
        ({"state": "absent"}, "none; the launcher starts it again"),
        ({"last_error": "No space left on device"}, "FAILED: No space left on device"),
    ],
)
def test_the_persister_in_words(fields: dict[str, Any], text: str) -> None:
    """The persister's states in words, and its last error."""
    assert text in persister_text(from_json(PersisterStatus, {**IDLE, **fields}))


def test_no_persister_no_line() -> None:
    """A run that never kept a snapshot has no such line."""
    assert persister_text(None) == ""


def test_checkpoints_show_both_tiers(shared: Path, fake_run: FakeRun) -> None:
    """The snapshot of a dead run is listed as valid, and is the newest."""
    fake_run.create()
    fake_run.write_status("running")
    write_snapshot(shared / "r1" / "snapshots", fake_run.run_dir, FILES, 9, run_id="r1")
    found = survey(request_of(fake_run.run_dir))
    assert found.newest_valid is not None
    assert (found.newest_valid.step, found.newest_valid.tier) == (9, "memory")
    listed = CliRunner().invoke(checkpoints_command, [str(fake_run.run_dir)])
    assert "memory" in listed.output.splitlines()[1]
    body = json.loads(
        CliRunner().invoke(checkpoints_command, [str(fake_run.run_dir), "--json"]).output
    )
    assert [(one["step"], one["tier"], one["valid"]) for one in body] == [(9, "memory", True)]


def test_a_run_id_leads_nowhere_else(shared: Path, fake_run: FakeRun) -> None:
    """An id from a file is not used as a path; a directory open to others is not read."""
    root = shared / "r1" / "snapshots"
    write_snapshot(root, fake_run.run_dir, FILES, 9, run_id="r1")
    find = runtime_directories.snapshot_root
    assert find(fake_run.paths, "r1") == root
    assert find(fake_run.paths, "../r1") is None
    assert find(fake_run.paths, "") is None
    assert find(fake_run.paths, None) is None
    (shared / "r1").chmod(0o777)
    assert find(fake_run.paths, "r1") is None


def test_check_says_whether_two_snapshots_fit(
    shared: Path, fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory of the existing slots is not needed again."""
    fake_run.create()
    asked: list[int] = []

    def room(_: Path, need: int) -> MemoryRoom:
        asked.append(need)
        return MemoryRoom(need < 1000, 7, 7, "7 MiB are left to this job")

    monkeypatch.setattr(shared_memory, "room", room)
    assert shared_memory.snapshots([], None).level is Level.OK
    root = shared / "r1" / "snapshots"
    write_snapshot(root, fake_run.run_dir, {"model.bin": bytes(5000)}, 9, run_id="r1")
    entries = survey(request_of(fake_run.run_dir)).entries
    finding = shared_memory.snapshots(entries, None)
    assert finding.level is Level.WARN
    assert "7 MiB are left" in finding.text
    assert asked[-1] == 2 * entries[0].bytes
    assert shared_memory.snapshots(entries, root).level is Level.OK
    assert asked[-1] < 1000


@pytest.mark.parametrize(
    ("files", "uid", "removes"),
    [
        ({}, 1000, True),
        ({}, 999, False),
        ({"etc/login.defs": "SYS_UID_MAX 499\n"}, 999, True),
        ({"var/lib/systemd/linger/4242424": ""}, 4242424, False),
        ({"var/lib/systemd/linger/somebody": ""}, 4242424, True),
        ({"etc/systemd/logind.conf": "[Login]\nRemoveIPC=no\n"}, 1000, False),
        ({"etc/systemd/logind.conf": "[Login]\nRemoveIPC = off\n"}, 1000, False),
        ({"etc/systemd/logind.conf": "[Login]\n#RemoveIPC=yes\n"}, 1000, True),
        ({"etc/systemd/logind.conf": "[Login]\n#RemoveIPC=no\n"}, 1000, False),
        ({"usr/lib/systemd/logind.conf": "#RemoveIPC=no\n"}, 1000, False),
        (
            {
                "etc/systemd/logind.conf": "RemoveIPC=no\n",
                "etc/systemd/logind.conf.d/50-a.conf": "RemoveIPC=yes\n",
            },
            1000,
            True,
        ),
        (
            {
                "usr/lib/systemd/logind.conf.d/50-a.conf": "RemoveIPC=yes\n",
                "etc/systemd/logind.conf.d/50-a.conf": "RemoveIPC=no\n",
            },
            1000,
            False,
        ),
    ],
)
def test_remove_ipc_as_logind_reads_it(
    tmp_path: Path, files: dict[str, str], uid: int, removes: bool
) -> None:
    """System and lingering users are spared; the files count as logind.conf(5) says."""
    (tmp_path / "run/systemd/users").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert removes_shared_memory(uid, tmp_path) is removes


def test_without_logind_nothing_is_removed(tmp_path: Path) -> None:
    """Without logind, as in a container, nothing is removed."""
    assert not removes_shared_memory(1000, tmp_path)

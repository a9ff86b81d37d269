"""The daemon and the machine: consoles that stall, directories that vanish, full memory."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from supervisor.config.model import RunConfig
from supervisor.core.json_form import to_json
from supervisor.core.policy import Policy
from supervisor.core.states import Checkpoint, State
from supervisor.core.vocabulary import Failure, Phase
from supervisor.daemon.act.trainer_environment import command_line, environment, policy_of
from supervisor.daemon.look.file_notifications import WakeUps
from supervisor.daemon.look.page_set import PageSet
from supervisor.daemon.look.probes import needed_bytes, probe
from supervisor.daemon.tell.console import Console
from supervisor.daemon.tell.journal import LOG_BYTES_MAX, Journal
from supervisor.daemon.tell.status import StatusFacts, status_of
from supervisor.rundir import runtime_directory as runtime_module
from supervisor.rundir.incidents import IncidentFolders
from supervisor.rundir.ledger import LedgerWriter
from supervisor.rundir.runtime_directory import RuntimeDirectory
from supervisor.worker.heartbeat import PageWriter


def test_a_reader_that_stalls_never_stalls_us() -> None:
    """A pipe without a reader takes what it can; the rest is dropped."""
    read, write = os.pipe()
    console = Console(write, enabled=True)
    for _ in range(3000):
        console.say("x" * 100)
    assert os.read(read, 1 << 20).count(b"\n") < 3000
    os.close(read)
    console.say("the reader is gone")
    console.say("and nobody minds")
    os.close(write)


def test_console_shows_no_control_sequences() -> None:
    """Text of the log must not steer the terminal."""
    read, write = os.pipe()
    Console(write, enabled=True).say("a \x1b]0;owned\x07 title and \x1b[31mred")
    text = os.read(read, 4096)
    assert b"\x1b" not in text
    assert b"\x07" not in text
    os.close(read)
    os.close(write)


def test_pages_stay_readable_when_their_directory_vanishes(tmp_path: Path) -> None:
    """RemoveIPC removes the names; the beats of a mapped page are still read."""
    folder = tmp_path / "attempt-0001"
    folder.mkdir()
    writer = PageWriter(folder / "rank-0", start_ticks=1)
    pages = PageSet(folder)
    writer.beat(step=3)
    assert [page.step for page in pages.read()] == [3]
    shutil.rmtree(folder)
    writer.beat(step=4)
    assert pages.is_vanished
    assert [page.step for page in pages.read()] == [4]
    pages.close()


def test_a_rank_that_attaches_again_replaces_its_page(tmp_path: Path) -> None:
    """torchrun starts ranks anew within an attempt: the new page counts."""
    pages = PageSet(tmp_path)
    PageWriter(tmp_path / "rank-0", start_ticks=1).beat(step=9)
    assert [page.step for page in pages.read()] == [9]
    PageWriter(tmp_path / "rank-0", start_ticks=1).beat(step=2)
    assert [page.step for page in pages.read()] == [2]
    pages.close()


def test_what_is_no_page_is_passed_over(tmp_path: Path) -> None:
    """Garbage, links and directories in the heartbeat directory are not pages."""
    (tmp_path / "rank-0").write_bytes(b"garbage")
    (tmp_path / "rank-1").mkdir()
    (tmp_path / "rank-2").symlink_to("/etc/passwd")
    (tmp_path / "rank-x").write_bytes(b"")
    pages = PageSet(tmp_path)
    assert pages.read() == []
    pages.close()


def test_runtime_directory_is_private_and_removed(tmp_path: Path) -> None:
    """The runtime directory has mode 0700, is one per run, and is removed at the end."""
    runtime = RuntimeDirectory("run-of-a-test", tmp_path)
    assert runtime.is_in_memory
    assert stat.S_IMODE(runtime.root.stat().st_mode) == 0o700
    first = runtime.begin_attempt(1)
    assert runtime.begin_attempt(2).is_dir()
    assert not first.exists()
    runtime.remove()
    assert not runtime.root.exists()


def test_a_directory_laid_by_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any user may write to /dev/shm: a directory that others may write to is not used."""
    (tmp_path / f"train-supervisor-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"train-supervisor-{os.getuid()}").chmod(0o777)
    monkeypatch.setattr(runtime_module, "SHARED_MEMORY", tmp_path)
    runtime = RuntimeDirectory("r", tmp_path / "state")
    assert runtime.root == tmp_path / "state" / "runtime"


def test_probe_of_a_disk(tmp_path: Path) -> None:
    """The probe wants space for a checkpoint and a fifth more."""
    assert probe("disk_full", directory=tmp_path / "not" / "yet", checkpoint_bytes=1000).clear
    assert not probe("disk_full", directory=tmp_path, checkpoint_bytes=1 << 60).clear
    assert probe("filesystem", directory=tmp_path, checkpoint_bytes=0).clear
    assert needed_bytes(100, 10**9) == 120
    assert needed_bytes(0, 4 << 20) == 1 << 20


def test_log_file_starts_anew_when_it_is_long(tmp_path: Path) -> None:
    """supervisor.log stays bounded over months; its lines are JSON."""
    ledger = LedgerWriter(tmp_path / "ledger.jsonl", tmp_path / "reserve")
    log = tmp_path / "supervisor.log"
    log.write_bytes(b"x" * (LOG_BYTES_MAX + 1))
    journal = Journal(ledger, log)
    journal.log.info("decided", reason="why")
    assert (tmp_path / "supervisor.log.1").stat().st_size == LOG_BYTES_MAX + 1
    (line,) = log.read_text().splitlines()
    assert json.loads(line)["event"] == "decided"


def test_incident_folders_are_numbered_and_tell_all(tmp_path: Path) -> None:
    """A folder has the report, the log's tail and the machine's state; its number is the next."""
    folders = IncidentFolders(tmp_path / "incidents", tmp_path)
    numbers = []
    for _ in range(2):
        number, folder = folders.open()
        numbers.append(number)
        folders.write(
            folder, attempt=3, failure=Failure.HANG, what="w", evidence=["e"], done="stacks taken",
            log=lambda bytes_max: b"the last line\n"[-bytes_max:],
        )  # fmt: skip
    assert numbers == [1, 2]
    report = json.loads((folder / "incident.json").read_text())
    assert (report["failure"], report["evidence"]) == ("hang", ["e"])
    assert (folder / "log-tail.txt").read_text() == "the last line\n"
    assert "meminfo" in (folder / "machine.txt").read_text()


def config(**more: object) -> RunConfig:
    """A configuration with defaults."""
    return RunConfig.model_validate({"command": ["train"], "name": "n", **more})


def test_environment_yields_to_the_users() -> None:
    """Our defaults never replace what the user set, in the shell or in the configuration."""
    overlay, unset = environment(
        config(env={"WANDB_RESUME": "must"}, checkpoints={"directory": "/c"}),
        {"PYTHONUNBUFFERED": "0"},
        run_dir=Path("/r"),
        run_id="id",
        attempt=2,
        heartbeat_dir=Path("/h"),
        snapshot_dir=Path("/s"),
        checkpoint=None,
    )
    assert "PYTHONUNBUFFERED" not in overlay
    assert overlay["SUPERVISOR_CHECKPOINT_DIR"] == "/c"
    assert overlay["WANDB_RESUME"] == "must"
    assert overlay["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] == "120"
    assert "SUPERVISOR_RESUME_FROM" in unset


def test_the_trainer_does_not_get_the_addresses_of_messages() -> None:
    """The variables named in `notify` are taken out, unless `env` of the configuration sets one."""
    told = {"to": ["env:MAIL", "ntfy://topic", "env:CHAT"], "ping": "env:PING"}
    overlay, unset = environment(
        config(notify=told, env={"CHAT": "theirs"}),
        {"MAIL": "mailto://secret", "CHAT": "slack://secret", "PING": "https://secret"},
        run_dir=Path("/r"),
        run_id="id",
        attempt=1,
        heartbeat_dir=Path("/h"),
        snapshot_dir=None,
        checkpoint=None,
    )
    assert {"MAIL", "PING"} <= set(unset)
    assert "CHAT" not in unset
    assert overlay["CHAT"] == "theirs"
    assert "secret" not in str(overlay)


def test_command_line_with_and_without_a_checkpoint() -> None:
    """The command gets resume.args with a checkpoint, and fresh_args without."""
    asked = config(resume={"args": ["--at={step}", "{name}"], "fresh_args": ["--new"]})
    found = Checkpoint("/c/checkpoint-7", 7)
    assert command_line(asked, found) == ["train", "--at=7", "checkpoint-7"]
    assert command_line(asked, None) == ["train", "--new"]


def test_policy_takes_every_deadline() -> None:
    """A number in the configuration reaches the core unchanged; `auto` becomes None."""
    policy = policy_of(config(watch={"heartbeat_timeout": "90s", "eval_timeout": "2h"}), "id")
    assert policy.heartbeat_timeout_s == 90.0
    assert policy.startup_timeout_s is None
    assert dict(policy.phase_timeouts_s) == {Phase.EVAL: 7200.0}


def test_status_has_every_field_of_the_contract() -> None:
    """Programs rely on these keys: an absent value is null, and no key is missing."""
    facts = StatusFacts("id", config(), "c.yaml", 0.0)
    status = to_json(status_of(State(policy=Policy()), facts, None, now=0.0, wall=1000.0))
    contract = (
        "run state attempt restarts pids phase step epoch loss grad_norm heartbeat_age_s checkpoint"
        " failure action updated_at"
    )
    assert set(contract.split()) <= set(status)
    assert set(status["pids"]) == {"launcher", "daemon", "trainer"}
    assert status["updated_at"] == "1970-01-01T00:16:40.000Z"
    json.dumps(status, allow_nan=False)


def test_a_directory_that_cannot_be_looked_at_is_not_watched() -> None:
    """A dead mount or a closed parent makes Path.is_dir raise; no look may fail of that."""
    wakeups = WakeUps()
    wakeups.watch(Path("/tmp", "x" * 300))  # ENAMETOOLONG, which root gets, too
    assert not wakeups._watched
    wakeups.close()

"""Whole runs with snapshots in memory: what they resume from, rescue, and leave behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.memory.persister_status import PersisterRecord, read_board
from supervisor.memory.slots import SnapshotPaths, is_locked, read_whole
from supervisor.system.identity import start_ticks
from tests.e2e.conftest import HANG, Supervised, uninterrupted
from tests.e2e.test_full_disk import fill
from tests.vanishing import vanish

COMMAND = [sys.executable, str(Path(__file__).with_name("snapshotter.py"))]
NEVER = 10**6


class Remembering(Supervised):
    """A run whose trainer keeps snapshots."""

    def set(self, **more: Any) -> None:
        """Configure the run; `env` as in snapshotter.py."""
        self.configure(command=COMMAND, **more)

    @property
    def run_id(self) -> str:
        """The run's id."""
        (created,) = self.wait(lambda: self.entries("run_created"))
        return str(created["run_id"])

    @property
    def root(self) -> Path:
        """The run's snapshot directory."""
        return Path(f"/dev/shm/train-supervisor-{os.getuid()}/{self.run_id}/snapshots")

    @property
    def board(self) -> PersisterRecord:
        """The persister's board, once there is one."""
        found = self.wait(lambda: read_board(self.root))
        assert isinstance(found, PersisterRecord)
        return found

    def result(self) -> float:
        """The weight in the final checkpoint."""
        return float((self.run_dir / f"checkpoint-{self.steps}" / "model.txt").read_text())

    def newest_in_memory(self) -> int:
        """The step of the newest whole snapshot."""
        wholes = read_whole(self.root)
        return wholes[0].snapshot.step if wholes else -1

    def close(self) -> None:
        """End everything, and remove the run's directory in memory."""
        root = self.root if self.entries("run_created") else None
        super().close()
        if root is not None:
            lock = SnapshotPaths(root).persister_lock
            if root.is_dir():
                self.wait(lambda: not lock.exists() or not is_locked(lock))
            shutil.rmtree(root.parent, ignore_errors=True)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Remembering]:
    """A run in a fresh directory."""
    supervised = Remembering(tmp_path)
    supervised.set()
    yield supervised
    supervised.close()


def test_a_kill_loses_no_step_and_nothing_is_left(run: Remembering) -> None:
    """Killed at step 17: attempt 2 begins at 18 from memory; equal bits; /dev/shm is empty."""
    run.set(env={"FAULTS": json.dumps({"1": [17, "kill"]})})
    assert run.run() == 0
    assert run.result() == uninterrupted()
    assert "attempt 2 begins at step 18 from memory" in run.log
    second = run.entries("attempt_started")[1]["checkpoint"]
    assert (second["step"], second["tier"]) == (17, "memory")
    (end, _) = run.entries("attempt_ended")
    assert (end["failure"], end["charged"]) == ("killed", True)
    # The persister alone has put the snapshot of the kill onto the disk, too.
    assert "relaunching at once" in run.text
    assert not run.root.parent.exists()
    assert not list(run.run_dir.glob(".staging-*"))
    assert run.status["persister"] is None or run.status["persister"]["last_error"] is None


def test_a_crash_puts_the_snapshot_onto_the_disk_behind_the_relaunch(run: Remembering) -> None:
    """The snapshot of a crash reaches the disk during the relaunch, though no save was wanted."""
    faults = json.dumps({"1": [7, "kill"]})
    run.set(env={"FAULTS": faults, "SAVE_EVERY": str(NEVER), "STEP_S": "0.05"})
    run.start()
    run.wait(lambda: (run.run_dir / "checkpoint-7" / "manifest.json").exists())
    assert run.finish() == 0
    assert run.result() == uninterrupted()
    assert "attempt 2 begins at step 8 from memory" in run.log


def test_many_kills_from_outside_end_in_equal_bits(run: Remembering) -> None:
    """Six SIGKILLs at any step; each next attempt resumes from memory."""
    run.steps = 200
    env = {"SAVE_EVERY": str(NEVER), "STEPS": str(run.steps)}
    run.set(hold=190, env=env, restart={"backoff": "0.1s", "max_failures": 20})
    run.start()
    newest = 0
    for attempt in range(1, 7):
        run.wait(lambda count=attempt: len(run.entries("attempt_started")) == count)
        run.wait(lambda past=newest: run.newest_in_memory() >= past + 5)
        newest = run.newest_in_memory()
        os.kill(run.entries("attempt_started")[-1]["pid"], signal.SIGKILL)
    run.let_go()
    assert run.finish() == 0
    assert run.result() == uninterrupted(run.steps)
    assert run.log.count("from memory") == 6
    assert not run.root.parent.exists()


def test_status_shows_both(run: Remembering) -> None:
    """`status` shows the newest snapshot and the persister while the run trains."""
    run.set(hold=25)
    run.start()
    run.wait_step(12)
    status = run.wait(lambda: (found := run.status).get("persister") and found)
    assert set(status["snapshot"]) == {"step", "age_s", "bytes", "slots", "tmpfs_bytes"}
    keys = {"state", "step", "done", "bytes_per_s", "last_error", "pending"}
    assert set(status["persister"]) == keys
    assert status["snapshot"]["step"] >= 10
    run.let_go()
    assert run.finish() == 0


def test_killed_at_the_end_of_the_grace_saves_what_is_in_memory(run: Remembering) -> None:
    """A trainer ignores the stop: its snapshot is rescued late, and the reason names its step."""
    # With regular saves memory would only sometimes be ahead of the disk.
    env = {"STOP": "ignore", "STEP_S": "0.05", "STEPS": "4000", "SAVE_EVERY": str(NEVER)}
    run.set(env=env, grace="4s")
    run.start()
    run.wait_step(5)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    (end,) = run.entries("attempt_ended")
    assert (end["signal"], end["saved"]) == (9, True)
    newest = max(int(path.name[11:]) for path in run.run_dir.glob("checkpoint-*"))
    assert newest >= end["step"] - 1
    assert f"saved at step {newest}" in run.status["reason"]
    assert "goes to the disk as it is" in run.text
    assert not run.root.parent.exists()
    run.set(env={"STEPS": str(newest + 5)})
    assert run.run() == 0
    assert f"begins at step {newest + 1} from disk" in run.log


def test_a_trainer_that_leaves_without_saving_has_its_snapshot_persisted(run: Remembering) -> None:
    """A trainer leaves without saving: the persister saves its snapshot, the run is preempted."""
    run.set(hold=25, env={"STOP": "leave", "SAVE_EVERY": str(NEVER)})
    run.start()
    run.wait_step(5)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    (end,) = run.entries("attempt_ended")
    assert end["saved"] is True
    assert (run.run_dir / f"checkpoint-{end['step']}").is_dir()


def test_a_hold_rescues_before_the_supervisor_ends(run: Remembering) -> None:
    """A hold puts the snapshot onto the disk first, because a person may take days."""
    run.set(env={"FAULTS": json.dumps({"1": [6, "exit78"]}), "SAVE_EVERY": str(NEVER)})
    assert run.run() == 1
    assert (run.run_dir / "checkpoint-6" / "manifest.json").exists()
    assert not run.root.parent.exists()


def test_a_rescue_that_fails_is_said_and_memory_is_kept(run: Remembering) -> None:
    """If the rescue fails, the hold reports the loss, memory stays, and the next run resumes."""
    (run.folder / "file").write_text("no directory")
    env = {"FAULTS": json.dumps({"1": [6, "exit78"]}), "SAVE_EVERY": str(NEVER)}
    run.set(env={**env, "DISK": str(run.folder / "file" / "x")})
    assert run.run() == 1
    assert "the snapshot of step 6 could not be put onto the disk" in run.status["reason"]
    assert run.newest_in_memory() == 6
    assert "it stays in" in run.text
    # The older slot was tried, too.
    failed = [entry["line"].split("step=")[1].split()[0] for entry in run.entries("save_failed")]
    assert failed == ["6", "5"]
    assert [e["failure"] for e in run.entries("incident")].count("filesystem") == 1
    assert sorted(path.name for path in run.root.parent.iterdir()) == ["snapshots"]
    assert run.command("resume").returncode == 0
    run.set()
    assert run.run() == 0
    assert "attempt 2 begins at step 7 from memory" in run.log
    assert run.result() == uninterrupted()
    assert not run.root.parent.exists()


def test_failed_persists_do_not_stop_training(run: Remembering) -> None:
    """Every save fails and training goes on; each is recorded once, in one incident."""
    (run.folder / "file").write_text("no directory")
    run.set(env={"DISK": str(run.folder / "file" / "x"), "STEP_S": "0.05", "STEPS": "4000"})
    run.start()
    run.wait(lambda: len(run.entries("save_failed")) >= 3)
    assert run.status["state"] == "running"
    run.wait(lambda: (run.status["persister"] or {}).get("last_error"))
    steps = [entry["line"].split("step=")[1].split()[0] for entry in run.entries("save_failed")]
    assert len(set(steps)) == len(steps)
    assert len(run.entries("incident")) == 1
    assert len(run.entries("attempt_started")) == 1


def test_a_killed_launcher_leaves_a_run_that_goes_on_from_memory(run: Remembering) -> None:
    """Launcher, daemon and trainer are killed: the persister ends by itself, and memory stays.

    The next run begins at the step after the newest snapshot.
    """
    run.set(hold=25, env={"SAVE_EVERY": str(NEVER)})
    process = run.start()
    trainer = run.wait_step(6)
    persister = run.board.pid
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGSTOP)
    process.send_signal(signal.SIGKILL)
    for pid in (trainer, daemon):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    run.wait(lambda: start_ticks(persister) is None)
    newest = run.newest_in_memory()
    assert newest >= 6
    assert run.run() == 0
    assert f"attempt 2 begins at step {newest + 1} from memory" in run.log
    assert run.result() == uninterrupted()
    assert not run.root.parent.exists()


def test_killed_launcher_lets_the_trainer_save_through_the_memory_tier(run: Remembering) -> None:
    """The persister ends with the launcher; the daemon starts another, which does the last save."""
    run.set(env={"STEP_S": "0.05", "SAVE_EVERY": str(NEVER), "STEPS": "4000"})
    process = run.start()
    run.wait_step(6)
    first = run.board.pid
    process.send_signal(signal.SIGKILL)
    process.wait()
    (end,) = run.wait(lambda: run.entries("attempt_ended"))
    assert end["saved"] is True
    assert (run.run_dir / f"checkpoint-{end['step']}").is_dir()
    run.wait(lambda: not run.root.parent.exists())
    run.wait(lambda: start_ticks(first) is None)
    assert run.strays() == []


def test_trainer_whose_launcher_and_daemon_died_still_saves(run: Remembering) -> None:
    """The persister stays while a trainer may write snapshots: the last save reaches the disk.

    The next run's persister waits until the old one is done.
    """
    run.set(env={"STEP_S": "0.1", "SAVE_EVERY": str(NEVER), "STEPS": "4000"})
    process = run.start()
    run.wait(lambda: run.newest_in_memory() >= 5)
    persister = run.board.pid
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGSTOP)
    process.send_signal(signal.SIGKILL)
    os.kill(daemon, signal.SIGKILL)
    process.wait()
    run.wait(lambda: not run.strays())
    (saved,) = run.run_dir.glob("checkpoint-*")
    run.wait(lambda: start_ticks(persister) is None)
    step = int(saved.name.removeprefix("checkpoint-"))
    assert step >= 5
    run.set(env={"STEPS": str(step + 5)})
    assert run.run() == 0
    assert f"attempt 2 begins at step {step + 1} from disk" in run.log


def test_two_persisters_never_work_at_once(run: Remembering) -> None:
    """A dead launcher's frozen persister keeps its lock: the next one waits, training does not."""
    run.set(env={"STEP_S": "0.1", "SAVE_EVERY": str(NEVER)})
    process = run.start()
    run.wait(lambda: run.newest_in_memory() >= 3)
    first = run.board.pid
    os.kill(first, signal.SIGSTOP)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for pid in (run.status["pids"]["trainer"], run.status["pids"]["daemon"]):
        os.kill(pid, signal.SIGKILL)
    run.wait(lambda: not run.strays())
    newest = run.newest_in_memory()
    run.start()
    run.wait(lambda: run.newest_in_memory() >= newest + 3)
    assert run.board.pid == first
    os.kill(first, signal.SIGCONT)
    assert run.finish() == 0
    run.wait(lambda: start_ticks(first) is None)
    assert f"attempt 2 begins at step {newest + 1} from memory" in run.log
    assert run.result() == uninterrupted()


def test_the_daemon_killed_while_it_waits_for_a_rescue(run: Remembering) -> None:
    """The daemon dies while it waits for a frozen persister: the next daemon waits on."""
    env = {"FAULTS": json.dumps({"1": [6, "exit78"]}), "SAVE_EVERY": str(NEVER)}
    run.set(hold=3, env=env)
    run.start()
    run.wait_step(3)
    persister = run.board.pid
    os.kill(persister, signal.SIGSTOP)
    run.let_go()
    run.wait(lambda: "is put onto the disk first" in run.text)
    os.kill(run.status["pids"]["daemon"], signal.SIGKILL)
    run.wait(lambda: len(run.entries("daemon_started")) == 2)
    run.wait(lambda: run.text.count("is put onto the disk first") == 2)
    assert run.entries("attempt_ended") == []
    os.kill(persister, signal.SIGCONT)
    assert run.finish() == 1
    assert len(run.entries("attempt_ended")) == 1
    assert (run.run_dir / "checkpoint-6" / "manifest.json").exists()


def test_a_stop_does_not_wait_for_a_persister_that_is_frozen(run: Remembering) -> None:
    """No persister answers: the run is preempted with the loss reported, and memory is kept."""
    run.set(hold=25, env={"STOP": "leave", "SAVE_EVERY": str(NEVER)})
    run.start()
    run.wait(lambda: run.newest_in_memory() >= 6)
    persister = run.board.pid
    os.kill(persister, signal.SIGSTOP)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    run.wait(lambda: "is put onto the disk first" in run.text)
    # An operator who does not want to wait a minute presses Ctrl-C three times.
    for count in range(1, 4):
        run.process.send_signal(signal.SIGINT)
        if count < 3:
            run.wait(lambda seen=count: run.status["interrupts"] == seen)
    run.wait(lambda: "it stays in" in run.text)
    assert run.finish() == 75
    newest = run.newest_in_memory()
    assert newest >= 6
    assert start_ticks(persister) is None, "a frozen persister is ended with the launcher"
    run.set()
    assert run.run() == 0
    # From memory or from the disk: a new persister does the requested save as soon as it lives.
    assert f"attempt 2 begins at step {newest + 1} from" in run.log
    assert run.result() == uninterrupted()


def test_a_relaunch_does_not_wait_for_a_persister_at_work(run: Remembering) -> None:
    """The persister is frozen at work: after two crashes training still resumes from memory."""
    env = {"FAULTS": json.dumps({"1": [7, "kill"], "2": [15, "kill"]})}
    run.set(hold=5, env={**env, "SAVE_EVERY": str(NEVER)})
    run.start()
    run.wait(lambda: run.newest_in_memory() >= 2)
    persister = run.board.pid
    os.kill(persister, signal.SIGSTOP)
    run.let_go()
    run.wait(lambda: "attempt 3 begins at step 16 from memory" in run.log)
    os.kill(persister, signal.SIGCONT)
    assert run.finish() == 0
    assert run.result() == uninterrupted()


def test_a_killed_persister_comes_back_and_finishes(run: Remembering) -> None:
    """Killed three times: the launcher starts the persister again, and saves reach the disk."""
    run.set(hold=25)
    run.start()
    for _ in range(3):
        before = run.board.pid
        os.kill(before, signal.SIGKILL)
        run.wait(lambda old=before: read_board(run.root) and run.board.pid != old)
    run.let_go()
    assert run.finish() == 0
    assert run.result() == uninterrupted()
    assert len(run.entries("attempt_started")) == 1


@pytest.mark.slow
def test_a_hang_is_rescued_before_it_is_killed(run: Remembering) -> None:
    """The hung trainer's newest snapshot is put onto the disk; the next attempt begins there."""
    faults = json.dumps({"1": [9, "hang"]})
    run.set(env={"FAULTS": faults, "SAVE_EVERY": str(NEVER)}, watch=HANG)
    run.start()
    run.wait(lambda: (run.run_dir / "checkpoint-9" / "manifest.json").exists())
    assert run.finish() == 0
    assert [e["failure"] for e in run.entries("attempt_ended")] == ["hang", "completed"]
    assert "attempt 2 begins at step 10" in run.log
    assert run.result() == uninterrupted()


def test_the_same_death_twice_rolls_back_within_memory(run: Remembering) -> None:
    """A bad batch at step 9 without a disk: the run goes back one snapshot, and is then held."""
    (run.folder / "file").write_text("no directory")
    env = {"FAULTS": json.dumps({"*": [9, "raise"]}), "SAVE_EVERY": str(NEVER)}
    run.set(env={**env, "DISK": str(run.folder / "file" / "x")})
    assert run.run() == 1
    begun = [line.partition("begins at ")[2] for line in run.log.splitlines() if "begins" in line]
    assert begun == ["step 1 from disk", "step 9 from memory", "step 8 from memory"]
    (removed,) = run.entries("checkpoint_removed")
    assert (removed["path"].endswith("/checkpoint-8"), removed["to"]) == (True, None)
    assert "the same death 3 times" in run.status["reason"]
    assert run.newest_in_memory() == 8


def test_a_vanished_directory_is_repaired(run: Remembering) -> None:
    """After RemoveIPC heartbeat, snapshots and persister come back, with one incident."""
    run.set(env={"STEP_S": "0.05", "STEPS": "4000"})
    run.start()
    run.wait_step(5)
    before = run.board.pid
    vanish(run.root.parent)
    (incident,) = run.wait(lambda: run.entries("incident"))
    assert "RemoveIPC" in incident["what"]
    assert "made again" in incident["done"]
    run.wait(lambda: (found := read_board(run.root)) and found.pid != before and found.results)
    run.wait(lambda: list(run.root.parent.glob("attempt-0001/rank-0")))
    step = run.status["step"]
    run.wait(lambda: run.status["step"] > step and run.status["heartbeat_age_s"] is not None)
    assert len(run.entries("attempt_started")) == 1
    assert len(run.entries("incident")) == 1


@pytest.mark.root
def test_a_full_disk_costs_saves_and_no_training(tmp_path: Path) -> None:
    """Without space saves fail and a crash resumes from memory; with space saves succeed again."""
    run = Remembering(tmp_path)
    run.set(env={"STEP_S": "0.05", "STEPS": "400", "PADDING": str(1 << 20)})
    run.run_dir.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(run.run_dir)]
    subprocess.run(mount, check=True)
    try:
        run.start()
        run.wait(lambda: list(run.run_dir.glob("checkpoint-*/manifest.json")))
        fill(run.run_dir / "filler")
        run.wait(lambda: len(run.entries("save_failed")) >= 2)
        assert run.status["state"] == "running"
        assert [entry["failure"] for entry in run.entries("incident")] == ["disk_full"]
        newest = run.newest_in_memory()
        os.kill(run.status["pids"]["trainer"], signal.SIGKILL)
        run.wait(lambda: "attempt 2 begins at step" in run.log)
        line = next(line for line in run.log.splitlines() if line.startswith("attempt 2"))
        assert line.endswith("from memory")
        assert int(line.split()[5]) > newest
        before = {path.name for path in run.run_dir.glob("checkpoint-*")}
        (run.run_dir / "filler").unlink()
        run.wait(lambda: {path.name for path in run.run_dir.glob("checkpoint-*")} - before)
        run.wait(lambda: (run.status["persister"] or {}).get("last_error") is None)
        assert len(run.entries("attempt_started")) == 2
        assert not list(run.run_dir.glob(".staging-*")) or run.board.state == "persisting"
    finally:
        run.close()
        subprocess.run(["umount", "-l", str(run.run_dir)], check=True)


def test_daemons_killed_during_persists_lose_no_save(run: Remembering) -> None:
    """A daemon is killed in the middle of each big save: one attempt, every save on the disk."""
    env = {"STEP_S": "0.15", "PADDING": str(12 << 20), "SAVE_EVERY": "10"}
    run.set(hold=35, env=env, watch={"heartbeat_timeout": "30s"})
    run.start()
    trainer = run.wait_step(2)
    killed = set[int]()
    for step in (10, 20):
        run.wait(lambda wanted=step: run.newest_in_memory() >= wanted)
        run.wait(lambda: run.status["pids"]["daemon"] not in killed)
        daemon = run.status["pids"]["daemon"]
        os.kill(daemon, signal.SIGKILL)
        killed.add(daemon)
    run.wait(lambda: run.status["pids"]["daemon"] not in killed)
    assert run.status["pids"]["trainer"] == trainer
    run.let_go()
    assert run.finish() == 0
    assert len(run.entries("attempt_started")) == 1
    assert run.entries("save_failed") == []
    valid = {entry["step"] for entry in run.entries("checkpoint") if entry["valid"]}
    assert {10, 20, 30, 40} <= valid
    assert run.result() == uninterrupted()

"""A run made of files alone, the same on every machine and at any time."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from supervisor.checkpoint.commit import CheckpointWriter
from supervisor.rundir.ledger import encode_entry
from supervisor.rundir.paths import RunPaths
from supervisor.system.clock import rfc3339
from tests.golden.frozen import NOW

CONFIG = """\
name: demo
command: [python3, train.py, --lr, "3e-4"]
run_dir: runs/demo
checkpoints: {keep: 3}
watch: {heartbeat_timeout: 5m}
grace: 90s
"""
WRONG_CONFIG = """\
name: demo
comand: [python3, train.py]
grace: soon
checkpoints: {keep: -1}
"""
LOG = """\
attempt 1 begins at step 1
step 9 loss 2.25
Traceback (most recent call last):
  File "/home/me/train.py", line 12, in <module>
    main()
  File "/home/me/train.py", line 8, in main
    raise ValueError("a bad batch")
ValueError: a bad batch
"""
SECOND_LOG = "attempt 2 begins at step 11\nstep 20 loss 1.5\n"
RUN_ID = "0123456789abcdef"
PARKED = {"state": "absent", "pid": None, "rss_bytes": None, "preloaded": None, "modules": None,
          "left_out": None, "seconds": None, "standby": None,
          "reason": "the launcher ends"}  # fmt: skip


def moment(ago_s: float) -> dict[str, Any]:
    """Both clocks, so long before NOW."""
    return {"at": rfc3339(NOW - ago_s), "monotonic": 100000.0 - ago_s}


class MadeUpRun:
    """`demo` in `folder`: two attempts, two good checkpoints and a damaged one, held."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.paths = RunPaths(folder / "runs" / "demo")
        self.paths.state_dir.mkdir(parents=True, mode=0o700)
        (folder / "config.yaml").write_text(CONFIG)
        (folder / "wrong.yaml").write_text(WRONG_CONFIG)
        (folder / "train.py").touch()
        (folder / "died.log").write_text(LOG)
        self.paths.train_log.write_text(LOG + SECOND_LOG)
        with monkeypatch.context() as patch:
            patch.setattr("time.time", lambda: NOW - 60)
            for step in (10, 20, 30):
                self._save(step)
        damaged = self.paths.run_dir / "checkpoint-30" / "model.pt"
        damaged.write_bytes(damaged.read_bytes()[:-1])
        self.write_status("held")
        self._write_ledger()
        for path in [*folder.rglob("*"), folder]:
            os.utime(path, (NOW - 60, NOW - 60))

    def _save(self, step: int) -> None:
        writer = CheckpointWriter(
            self.paths.run_dir, f"checkpoint-{step}", step=step, epoch=1, kind="periodic",
            run_id=RUN_ID, attempt=1, resumed_from=None, world_size=1, torch_version="2.13.0",
            finite=True,
        )  # fmt: skip
        with writer:
            (writer.path / "model.pt").write_bytes(b"x" * 1000 * step)
            state = {"global_step": step, "current_epoch": 1, "format": 1}
            (writer.path / "training_state.json").write_text(json.dumps(state))
            writer.commit()

    def write_status(self, state: str, **more: Any) -> None:
        """Write status.json with every key that the daemon writes."""
        newest = {"path": f"{self.paths.run_dir}/checkpoint-20", "step": 20, "kind": "periodic"}
        status: dict[str, Any] = {
            "run": "demo", "run_id": RUN_ID, "name": "demo", "state": state, "attempt": 2,
            "restarts": 1, "pids": {"launcher": 11, "daemon": 12, "trainer": None}, "phase": None,
            "step": 20, "epoch": 1, "loss": 1.5, "step_rate": 2.0, "heartbeat_age_s": None,
            "log_age_s": None, "attached": None, "world_size": 1, "checkpoint": newest,
            "snapshot": None, "persister": None,
            "launch": {"mode": "auto", "last": "warm", "cold_reason": None, "parked": PARKED},
            "slurm": None, "failure": "exception", "action": "hold",
            "reason": "ValueError: a bad batch, 3 times at the same step", "next_at": None,
            "intent": "run", "stopping": None, "interrupts": 0,
            "budget": {"failures": 3, "max_failures": 5, "today": 3, "max_per_day": 50},
            "goodput": {"goodput": 0.75, "launching_s": 10.0, "training_s": 300.0,
                        "saving_s": 5.0, "replaying_s": 60.0, "waiting_s": 20.0, "down_s": 5.0,
                        "unknown_s": 0.0, "total_s": 400.0},
            "launcher_frozen": False, "last_save_s": 0.5, "grace_s": 90.0,
            "warnings": ["the disk is nearly full"], "host": "node7",
            "config": str(self.folder / "config.yaml"), "run_dir": str(self.paths.run_dir),
            "started_at": rfc3339(NOW - 400), "updated_at": rfc3339(NOW - 1),
        }  # fmt: skip
        self.paths.status.write_text(json.dumps({**status, **more}) + "\n")

    def _write_ledger(self) -> None:
        run_dir, command = str(self.paths.run_dir), ["python3", "train.py", "--lr", "3e-4"]
        chosen = {"path": f"{run_dir}/checkpoint-10", "step": 10, "tier": "disk", "proof": "hashes"}
        started = {"resumes_by": "supervisor", "start_ticks": 6, "cgroup": None}
        ended = {"failure": "exception", "exception": "ValueError", "code": 1, "signal": None,
                 "reason": "ValueError: a bad batch", "step": 9, "duration_s": 100.0,
                 "evidence": ["ValueError: a bad batch"], "charged": True}  # fmt: skip
        entries: list[tuple[float, dict[str, Any]]] = [
            (400, {"type": "run_created", "run_id": RUN_ID, "name": "demo", "version": "0.1.0"}),
            (399, {"type": "supervisor_started", "pid": 11, "host": "node7", "boot_id": "b",
                   "config_path": "config.yaml", "command": command, "version": "0.1.0"}),
            (399, {"type": "daemon_started", "pid": 12, "adopted_attempt": None, "boot_id": "b"}),
            (398, {"type": "attempt_started", "attempt": 1, "pid": 13, "checkpoint": None,
                   "log_offset": 0, "launch": "cold", **started}),
            (298, {"type": "attempt_ended", "attempt": 1, "action": "restart", **ended}),
            (298, {"type": "decision", "state": "backoff", "failure": "exception",
                   "action": "restart", "reason": "ValueError: a bad batch", "wait_s": 10.0}),
            (288, {"type": "attempt_started", "attempt": 2, "pid": 14, "checkpoint": chosen,
                   "log_offset": len(LOG), "launch": "warm", **started}),
            (188, {"type": "attempt_ended", "attempt": 2, "action": "hold", **ended, "step": 20}),
            (188, {"type": "decision", "state": "held", "failure": "exception", "action": "hold",
                   "reason": "ValueError: a bad batch, 3 times at the same step"}),
            (188, {"type": "supervisor_ended", "state": "held", "code": 1,
                   "reason": "ValueError: a bad batch, 3 times at the same step"}),
        ]  # fmt: skip
        lines = [encode_entry({**moment(ago), **entry}) for ago, entry in entries]
        self.paths.ledger.write_bytes(b"".join(lines))

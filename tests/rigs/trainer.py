"""A trainer of the standard library: one number is the model. It attaches, saves and resumes.

FAULTS is JSON, `{"<attempt>": [step, kind]}`. Kinds: kill, raise, config (exit 78), hungry (once
the file GO exists, it takes memory until it is killed).
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from supervisor.checkpoint.commit import CheckpointWriter
from supervisor.worker import attach

STEPS = int(os.environ.get("STEPS", "100000"))
STEP_S = float(os.environ.get("STEP_S", "0.02"))
SAVE_EVERY = int(os.environ.get("SAVE_EVERY", "10"))
SAVE_S = float(os.environ.get("SAVE_S", "0"))
FAULTS = json.loads(os.environ.get("FAULTS", "{}"))
OUTPUT = Path(os.environ["SUPERVISOR_RUN_DIR"])
# Of several tasks of srun only the first saves.
RANK = int(os.environ.get("SLURM_PROCID", "0")) if "SLURM_STEP_ID" in os.environ else 0


def save(weight: float, step: int, kind: str) -> Path:
    """Write a checkpoint by the protocol; SAVE_S delays an emergency save."""
    if RANK:
        return OUTPUT / f"checkpoint-{step}"
    writer = CheckpointWriter(
        OUTPUT, f"checkpoint-{step}", step=step, epoch=0, kind=kind, run_id=run.run_id,
        attempt=run.attempt, resumed_from=None, world_size=1, torch_version=None, finite=True,
    )  # fmt: skip
    if kind == "emergency":
        time.sleep(SAVE_S)
    with writer:
        (writer.path / "model.pt").write_text(repr(weight))
        state = {"global_step": step, "current_epoch": 0, "format": 1}
        (writer.path / "training_state.json").write_text(json.dumps(state))
        return writer.commit()


def fail(kind: str) -> None:
    """Do what FAULTS says."""
    match kind:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ValueError("a bad batch")
        case "config":
            sys.exit(78)
        case "hungry":
            hoard: list[bytearray] = []
            while not (OUTPUT / "GO").exists():
                time.sleep(0.02)
                run.beat(step=fault_step)
            while True:
                hoard.append(bytearray(os.urandom(1 << 20)))


run = attach()
weight, first = 1.0, 1
if run.resume_from is not None:
    weight = float((run.resume_from / "model.pt").read_text())
    first = json.loads((run.resume_from / "training_state.json").read_text())["global_step"] + 1
mine = {name: os.environ.get(name) for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "TRAINED_AS")}
score = Path("/proc/self/oom_score_adj").read_text().strip()
print(f"attempt {run.attempt} begins at step {first} {mine} oom {score} uid {os.getuid()}")
fault_step, fault_kind = FAULTS.get(str(run.attempt), [None, ""])
for step in range(first, STEPS + 1):
    time.sleep(STEP_S)
    weight = (weight * 1103515245.0 + step) % 2147483647.0
    run.beat(step=step, loss=1.0 / step)
    if step == fault_step:
        fail(fault_kind)
    if step % SAVE_EVERY == 0 and step < STEPS:
        with run.phase("save"):
            save(weight, step, "periodic")
    if run.should_stop:
        with run.phase("save"):
            path = save(weight, step, "emergency")
        run.exit_preempted(checkpoint=path, step=step)
run.finish(checkpoint=save(weight, STEPS, "final"), step=STEPS)

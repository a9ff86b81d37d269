"""A trainer without torch: one float is the model. It attaches, saves whole checkpoints, resumes.

FAULTS is JSON, `{"<attempt>": [step, kind]}`. Kinds: kill, stop, hang (it sleeps and never looks at
a stop), stall (a hang that a stop ends), deaf (a hang that only prints a SIGTERM), raise, nan,
diverge, exit<N>.

HOLD is a step at which it waits, beating, until the file GATE exists or a stop is requested. With
DEAF only the file counts. So a test has the time to act on a living run.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from supervisor.checkpoint.commit import CheckpointWriter
from supervisor.worker import attach

STEPS = int(os.environ.get("STEPS", "40"))
STEP_S = float(os.environ.get("STEP_S", "0.02"))
SAVE_EVERY = int(os.environ.get("SAVE_EVERY", "10"))
PADDING = int(os.environ.get("PADDING", "0"))
FAULTS = json.loads(os.environ.get("FAULTS", "{}"))
OUTPUT = Path(os.environ.get("OUTPUT") or os.environ["SUPERVISOR_RUN_DIR"])
HOLD = int(os.environ.get("HOLD", "0"))
GATE = Path(os.environ.get("GATE", "/"))


def save(weight: float, step: int, kind: str) -> Path:
    """Write a checkpoint by the protocol."""
    writer = CheckpointWriter(
        OUTPUT, f"checkpoint-{step}", step=step, epoch=0, kind=kind, run_id=run.run_id,
        attempt=run.attempt, resumed_from=None, world_size=1, torch_version=None, finite=True,
    )  # fmt: skip
    with writer:
        (writer.path / "model.pt").write_text(repr(weight) + " " * PADDING)
        state = {"global_step": step, "current_epoch": 0, "format": 1}
        (writer.path / "training_state.json").write_text(json.dumps(state))
        return writer.commit()


def fail(kind: str) -> None:
    """Do what FAULTS says."""
    match kind:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "hang":
            time.sleep(3600)
        case "stall":
            while not run.should_stop:
                time.sleep(1)
            sys.exit(1)
        case "deaf":
            signal.signal(signal.SIGTERM, lambda *_: print("SIGTERM ignored", flush=True))
            while True:
                time.sleep(1)
        case "nan":
            raise FloatingPointError("loss is nan")
        case "diverge":
            run.beat(step=fault_step, loss=float("inf"))
            sys.exit(1)
        case "raise":
            raise ValueError("a bad batch")
        case _ if kind.startswith("exit"):
            sys.exit(int(kind[4:]))


run = attach()
weight, first = 1.0, 1
if run.resume_from is not None:
    weight = float((run.resume_from / "model.pt").read_text())
    first = json.loads((run.resume_from / "training_state.json").read_text())["global_step"] + 1
print(f"attempt {run.attempt} begins at step {first}", flush=True)
fault_step, fault_kind = FAULTS.get(str(run.attempt), FAULTS.get("*", [None, ""]))
if fault_step == 0:
    fail(fault_kind)
for step in range(first, STEPS + 1):
    time.sleep(STEP_S)
    weight = (weight * 1103515245.0 + step) % 2147483647.0
    run.beat(step=step, loss=weight)
    print(f"step {step} loss {weight:.1f}", flush=True)
    if step == fault_step:
        fail(fault_kind)
    if step % SAVE_EVERY == 0 and step < STEPS:
        with run.phase("save"):
            save(weight, step, "periodic")
    while step == HOLD and not GATE.exists() and ("DEAF" in os.environ or not run.should_stop):
        time.sleep(0.02)
        run.beat(step=step, loss=weight)
    if run.should_stop:
        with run.phase("save"):
            path = save(weight, step, "emergency")
        run.exit_preempted(checkpoint=path, step=step)
run.finish(checkpoint=save(weight, STEPS, "final"), step=STEPS)

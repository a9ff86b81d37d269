"""A trainer in stages that says where it saves, as an adapter does; it needs no library.

PLAN is JSON, `[[directory, steps, total], …]`: a stage for each. FAULTS is JSON,
`{"<attempt>": [stage, step, kind]}`; kinds: kill, exit0 (in the middle), stop (early stopping).
A stage goes on from SUPERVISOR_RESUME_FROM only if that lies in its directory. ENV SILENT: it says
nothing of itself.
"""

import json
import os
import signal
import sys
import time
import zipfile
from pathlib import Path

from supervisor.worker import attach

PLAN = json.loads(os.environ["PLAN"])
FAULTS = json.loads(os.environ.get("FAULTS", "{}"))
EVERY = 10
STEP_S = float(os.environ.get("STEP_S", "0.05"))
"""The length of a step in stage 1."""
RECORD = Path(os.environ["SUPERVISOR_RUN_DIR"]) / ".supervisor" / "trainings.jsonl"

run = attach()
chosen = os.environ.get("SUPERVISOR_RESUME_FROM")
fault_stage, fault_step, kind = FAULTS.get(os.environ["SUPERVISOR_ATTEMPT"], (None, None, None))


def describe(number: int, folder: Path, total: int, *, ended: bool, best: str | None) -> None:
    """Say what an adapter says of a training."""
    run.description.merge(
        framework="teststages 1.0",
        checkpoint_dir=str(folder),
        total_steps=total,
        best=best,
        resumed_from=chosen if chosen and Path(chosen).parent == folder else None,
        training={"directory": str(folder), "ordinal": 1, "began": number, "ended": ended,
                  "step": None},
    )  # fmt: skip


def save(folder: Path, step: int, weight: float) -> str:
    """Write a checkpoint file whole, by rename."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"checkpoint-{step}.pt"
    with zipfile.ZipFile(folder / "new.tmp", "w") as archive:
        archive.writestr("a/data.pkl", b"N.")
        archive.writestr("a/weight", repr(weight))
    (folder / "new.tmp").rename(path)
    line = {"attempt": run.attempt, "directory": str(folder), "ordinal": 1,
            "checkpoint": str(path), "step": step,
            "changed": path.stat().st_mtime, "wall": time.time()}  # fmt: skip
    with RECORD.open("a") as record:
        record.write(json.dumps(line) + "\n")
    return str(path)


def load(path: str) -> tuple[int, float]:
    """The step and weight of a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        return int(Path(path).stem.rpartition("-")[2]), float(archive.read("a/weight"))


weight = 1.0
run.description.tell("it repeats no batches")
for number, (place, steps, total) in enumerate(PLAN, start=1):
    folder = Path(place.replace("{attempt}", os.environ["SUPERVISOR_ATTEMPT"])).absolute()
    first = 0
    best = None
    describe(number, folder, total, ended=False, best=None)
    is_its_own = chosen is not None and (Path(chosen).parent == folder or "{attempt}" in place)
    if is_its_own and chosen is not None:
        first, weight = load(chosen)
    print(f"stage {number} begins at step {first}", flush=True)
    for step in range(first + 1, steps + 1):
        weight = (weight * 1103515245.0 + step) % 2147483647.0
        time.sleep(0.05 if number > 1 else STEP_S)
        run.beat(step=step)
        if step % EVERY == 0:
            saved = save(folder, step, weight)
            best = best or saved
            describe(number, folder, total, ended=False, best=best)
        if (fault_stage, fault_step) == (number, step):
            if kind == "kill":
                time.sleep(1.0)
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "exit0":
                sys.exit(0)
            if kind == "stop":
                break
    describe(number, folder, total, ended=True, best=best)
print(f"weight {weight!r}", flush=True)

"""A trainer without torch that keeps snapshots in memory by the slots' protocol, and resumes.

FAULTS as in trainer.py (kill, hang, exit<N>, and raise: before the step's snapshot). STOP is its
answer to a stop: save, ignore or leave. Every SAVE_EVERY steps it asks for the snapshot to be
persisted into DISK. HOLD and GATE as in trainer.py.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from supervisor.worker import attach

try:
    from supervisor.memory.seal import SealWriter, Snapshot
    from supervisor.memory.slots import Lock as SlotLock
    from supervisor.memory.slots import SlotPaths, make_root, read_whole
    from supervisor.memory.slots import wake as ring
except ModuleNotFoundError:  # tests/upgrade runs this script with the previous version
    from supervisor.snapshot.seal import SealWriter, Snapshot
    from supervisor.snapshot.slots import Lock as SlotLock
    from supervisor.snapshot.slots import SlotPaths, make_root, read_whole
    from supervisor.snapshot.slots import wake as ring

STEPS = int(os.environ.get("STEPS", "40"))
STEP_S = float(os.environ.get("STEP_S", "0.02"))
SAVE_EVERY = int(os.environ.get("SAVE_EVERY", "10"))
PADDING = int(os.environ.get("PADDING", "0"))
STOP = os.environ.get("STOP", "save")
FAULTS = json.loads(os.environ.get("FAULTS", "{}"))
HOLD = int(os.environ.get("HOLD", "0"))
GATE = Path(os.environ.get("GATE", "/"))
OUTPUT = Path(os.environ["SUPERVISOR_RUN_DIR"])
DISK = os.environ.get("DISK", str(OUTPUT))


class Slots:
    """Both slots, written by plain files instead of mapped ones."""

    def __init__(self, root: Path) -> None:
        """Adopt the existing slots and continue their sequence."""
        self.root = root
        paths = make_root(root)
        self.writer = SlotLock(paths.writer_lock)
        assert self.writer.acquire(), "two writers"
        for slot in paths.slots:
            slot.folder.mkdir(mode=0o700, exist_ok=True)
        self.slots = {slot: (SealWriter(slot.seal), SlotLock(slot.lock)) for slot in paths.slots}
        self.sequence = max(seal.current.sequence for seal, _ in self.slots.values())

    def write(self, weight: float, step: int, kind: str = "periodic", wanted: bool = False) -> None:
        """Write one snapshot.

        If RemoveIPC has taken the directory away, make it again and retry.
        """
        try:
            self.write_slot(weight, step, kind, wanted)
        except FileNotFoundError:
            self.__init__(self.root)  # type: ignore[misc]
            self.write_slot(weight, step, kind, wanted)

    def write_slot(self, weight: float, step: int, kind: str, wanted: bool) -> None:
        """Write one snapshot by the protocol; skip a pinned slot. Raises OSError."""
        for slot in sorted(self.slots, key=lambda one: self.slots[one][0].current.sequence):
            seal, lock = self.slots[slot]
            if lock.acquire():
                break
        else:
            return
        seal.begin()
        folder = self.take(slot)
        (folder / "model.txt").write_text(repr(weight) + " " * PADDING)
        state = {"global_step": step, "current_epoch": 0, "format": 1}
        (folder / "training_state.json").write_text(json.dumps(state))
        size = sum(path.stat().st_size for path in folder.iterdir())
        snapshot = Snapshot(
            f"checkpoint-{step}", DISK, step, 0, kind, run.run_id, run.attempt, None, 1, None,
            wanted, (), size, time.time(),
        )  # fmt: skip
        folder.rename(slot.checkpoint(snapshot))
        self.sequence += 1
        seal.close_over(self.sequence, snapshot)
        lock.release()
        ring(self.root)

    @staticmethod
    def take(slot: SlotPaths) -> Path:
        """Rename the slot's checkpoint directory to its name during a write; the new path."""
        for path in slot.folder.iterdir():
            if path.is_dir() and path != slot.writing:
                path.rename(slot.writing)
        slot.writing.mkdir(exist_ok=True)
        return slot.writing


def save(weight: float, step: int, kind: str) -> Path:
    """Write a wanted snapshot, and wait until it is on the disk."""
    slots.write(weight, step, kind, wanted=True)
    path = Path(DISK, f"checkpoint-{step}")
    while not (path / "manifest.json").exists():
        time.sleep(0.005)
    return path


def fail(kind: str) -> None:
    """Do what FAULTS says."""
    match kind:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(3600)
        case "raise":
            raise ValueError("a bad batch")
        case _ if kind.startswith("exit"):
            sys.exit(int(kind[4:]))


run = attach()
assert run.snapshot_dir is not None
weight, first = 1.0, 1
if run.resume_from is not None:
    weight = float((run.resume_from / "model.txt").read_text())
    first = json.loads((run.resume_from / "training_state.json").read_text())["global_step"] + 1
slots = Slots(run.snapshot_dir)
where = "memory" if run.resume_from in [one.path for one in read_whole(slots.root)] else "disk"
print(f"attempt {run.attempt} begins at step {first} from {where}", flush=True)
fault_step, fault_kind = FAULTS.get(str(run.attempt), FAULTS.get("*", [None, ""]))
for step in range(first, STEPS + 1):
    time.sleep(STEP_S)
    weight = (weight * 1103515245.0 + step) % 2147483647.0
    run.beat(step=step, loss=weight)
    if step == fault_step and fault_kind == "raise":
        fail(fault_kind)
    slots.write(weight, step, wanted=step % SAVE_EVERY == 0)
    print(f"step {step}", flush=True)
    if step == fault_step:
        fail(fault_kind)
    while step == HOLD and not GATE.exists() and not run.should_stop:
        time.sleep(0.02)
        run.beat(step=step, loss=weight)
    if run.should_stop and STOP != "ignore":
        if STOP == "leave":
            sys.exit(75)
        with run.phase("save"):
            path = save(weight, step, "emergency")
        run.exit_preempted(checkpoint=path, step=step)
run.finish(checkpoint=save(weight, STEPS, "final"), step=STEPS)

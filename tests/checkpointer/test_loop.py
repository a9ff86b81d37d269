"""A plain loop with a Checkpointer: what is in memory, on the disk, and left afterwards."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from supervisor.checkpoint.validate import validate
from supervisor.memory.slots import read_whole
from supervisor.torch import Checkpointer, load
from tests.checkpointer.conftest import Training, assert_same

Make = Callable[..., Checkpointer]


def test_a_loop_of_its_own(make: Make, out: Path, memory: Path) -> None:
    """Snapshots and saves run beside training, a final save is waited for, and nothing is left."""
    training = Training()
    keep = make(training.sources, snapshot_steps=2, save_steps=10, patience_s=20)
    saved = []
    for _ in range(20):
        step = training.step()
        keep.after_step(step, epoch=0, state={"next_batch": step})
        saved += keep.news()
    keep.drain()
    taken = keep.save(step, kind="final", name="checkpoint-final", wait=True)
    assert taken.saved is not None
    assert taken.saved.ok, taken
    assert {one.step for one in [*saved, *keep.news()] if one.ok} == {10, 20}
    found = load(out / "checkpoint-final")
    assert_same({name: found[name] for name in training.sources}, training.state())
    assert load(out / "checkpoint-20")["training_state.json"]["next_batch"] == 20
    verdict = validate(out / "checkpoint-final")
    assert (verdict.valid, verdict.finite) == (True, True), verdict
    for file in (out / "checkpoint-10").glob("*.pt"):
        subprocess.run([sys.executable, "-m", "zipfile", "-t", file], check=True)
    assert keep.rebuilds == 1
    keep.close()
    assert not memory.exists()


def test_a_snapshot_is_a_checkpoint_in_memory(make: Make, memory: Path) -> None:
    """A snapshot loads from its slot, with the state of its own step."""
    training = Training()
    keep = make(training.sources, snapshot_steps=0)
    training.step()
    while not keep.snapshot(training.steps).ok:
        training.step()
    before = training.state()
    training.step()
    whole = read_whole(memory)[0]
    found = load(whole.path)
    assert_same({name: found[name] for name in training.sources}, before)

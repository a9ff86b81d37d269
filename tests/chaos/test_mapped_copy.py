"""SIGKILL within the copy into a slot, which makes no system call."""

from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from supervisor.memory.seal import SlotState, read_seal
from supervisor.memory.slots import SnapshotPaths
from tests.chaos.conftest import SHARE, Count
from tests.chaos.driver import Order
from tests.chaos.nursery import Trainer
from tests.chaos.place import Place
from tests.chaos.trainee import uninterrupted
from tests.chaos.workbench import SIGKILLED

PADDING = 1 << 19
"""6 MB with the moments: the copy takes a millisecond."""
KILLS = {1: 200, 8: 48}.get(SHARE, 12)
ROUNDS = 5
Files = dict[str, "np.ndarray[tuple[int], np.dtype[np.uint32]]"]


class Slots:
    """The content of the written slot before and after, and the fraction that is written."""

    def __init__(self, place: Place) -> None:
        self._paths = SnapshotPaths(place.memory)
        self.before: Files = {}
        self.after: Files = {}

    def find(self, state: SlotState, step: int | None = None) -> Files | None:
        """The archives of a slot in this state; None if no slot is."""
        for slot in self._paths.slots:
            seal = read_seal(slot.seal)
            if seal.state is state and (seal.snapshot is None or seal.snapshot.step == step):
                folder = slot.writing if seal.snapshot is None else slot.checkpoint(seal.snapshot)
                return {path.name: _words(path) for path in sorted(folder.glob("*.pt"))}
        return None

    def fraction(self) -> float | None:
        """The fraction of the changing words that have changed in the slot being written."""
        now = self.find(SlotState.WRITING)
        if now is None:
            return None
        if not now:  # after the copy: the slot has its name, but its seal is not closed
            return 1.0
        done = total = 0
        for name, new in self.after.items():
            differs = self.before[name] != new
            total += int(differs.sum())
            done += int((now[name] == new)[differs].sum())
        return done / total


def _words(path: Path) -> "np.ndarray[tuple[int], np.dtype[np.uint32]]":
    data = path.read_bytes()
    return np.frombuffer(data[: len(data) // 4 * 4], dtype=np.uint32)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, memory_folder: Path) -> Place:
    """A disk and a tmpfs, for a state that takes a while to copy."""
    return Place(tmp_path_factory.mktemp("copy") / "out", memory_folder / "snapshots", PADDING)


def start(place: Place, kill_after_ns: int | None = None) -> Trainer:
    """A trainer that waits before its copy."""
    place.clear()
    order = Order("in the copy", place.out, place.memory, place.padding, kill_after_ns)
    return Trainer(order, place.out / "strace.log")


def measure(place: Place, slots: Slots) -> float:
    """The duration of the copy in nanoseconds; notes the slot before and after."""
    times = []
    for _ in range(3):
        trainer = start(place)
        try:
            slots.before = slots.find(SlotState.WHOLE, 7) or {}
            report = trainer.go_on()
        finally:
            trainer.kill()
        assert report is not None
        assert report.digest == uninterrupted(PADDING)
        times.append(report.copies_ns[-1])
    slots.after = slots.find(SlotState.WHOLE, 9) or {}
    assert slots.before
    assert slots.before.keys() == slots.after.keys()
    return median(times)


@pytest.mark.timeout(900)
def test_killed_within_the_copy(place: Place, record_property: Count) -> None:
    """However far the copy came, the other slot is whole, and the run ends in the same bits."""
    slots = Slots(place)
    tenths: Counter[int] = Counter()
    problems = []
    # On a busy machine the copy's speed changes, so it is measured again.
    for _ in range(ROUNDS):
        takes_ns = measure(place, slots)
        for number in range(KILLS):
            trainer = start(place, round(takes_ns * (number + 0.5) / KILLS))
            try:
                trainer.go_on()
                code = trainer.exit_code
            finally:
                trainer.kill()
            fraction = slots.fraction()
            if code == SIGKILLED and fraction is not None and 0 < fraction < 1:
                tenths[int(fraction * 10)] += 1
            problem = (
                place.judge((8, 9), (None,)) or place.judge_next_attempt() or place.judge_rest()
            )
            if problem is not None:
                problems.append((fraction, problem))
        if tenths.total() >= KILLS // 2:
            break
    assert not problems, problems
    inside = tenths.total()
    record_property("SIGKILL within a mapped copy", inside)
    for tenth, count in sorted(tenths.items()):
        record_property(f"SIGKILL within a mapped copy, in its tenth {tenth + 1:2}", count)
    assert inside >= KILLS // 8, dict(tenths)
    assert len(tenths) >= (3 if SHARE == 1 else 1), dict(tenths)

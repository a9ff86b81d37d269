"""The soak's own checks: a seed repeats its plan, and broken promises are found."""

from collections import Counter
from pathlib import Path

import torch

from benchmarks.faults import Fault, Planned, plan
from benchmarks.hands import _damage
from benchmarks.soak import same, started_twice
from benchmarks.soaked_run import SoakedRun, Stamp


def test_a_seed_brings_the_same_faults_again() -> None:
    """Same seed and round, same plan; another round, another plan; every fault comes at last."""
    assert plan(1, 0, 50) == plan(1, 0, 50)
    assert plan(1, 0, 50) != plan(1, 1, 50)
    assert plan(1, 0, 50) != plan(2, 0, 50)
    seen = Counter(one.fault for number in range(20) for one in plan(7, number, 50))
    assert set(seen) == set(Fault)


def stamps(*pids: int) -> list[Stamp]:
    """A step by each pid, in this order."""
    return [Stamp("step", pid, at, at) for at, pid in enumerate(pids)]


def test_two_trainers_at_once_are_seen() -> None:
    """One trainer after the other is right; a pid that comes back after another began is wrong."""
    assert started_twice([]) is None
    assert started_twice(stamps(1, 1, 2, 2, 3)) is None
    assert started_twice(stamps(1, 1, 2, 1)) == 1


def test_one_bit_makes_weights_unequal() -> None:
    """Nested tensors are compared by value and type."""
    state = {"a": [torch.ones(3)], "b": {"lr": 0.1}}
    assert same(state, {"a": [torch.ones(3)], "b": {"lr": 0.1}})
    other = torch.ones(3)
    other[2] = torch.nextafter(other[2], torch.tensor(2.0))
    assert not same(state, {"a": [other], "b": {"lr": 0.1}})
    assert not same(state, {"a": [torch.ones(3)], "b": {"lr": 0.2}})
    assert not same(state, {"a": [torch.ones(3, dtype=torch.float64)], "b": {"lr": 0.1}})


def test_damage_is_one_bit_or_a_cut(tmp_path: Path) -> None:
    """A flip changes one bit, a truncation the length."""
    file = tmp_path / "model.pt"
    file.write_bytes(bytes(1000))
    _damage(file, Planned(Fault.FLIP, 0.0, 0.5))
    assert sum(byte.bit_count() for byte in file.read_bytes()) == 1
    _damage(file, Planned(Fault.TRUNCATE, 0.0, 0.5))
    assert file.stat().st_size == 500


def test_only_this_run_s_processes_are_found(tmp_path: Path) -> None:
    """A run that was never started has no processes and no trainer."""
    run = SoakedRun(tmp_path / "never", 10)
    assert run.parties() == []
    assert run.trainer() is None
    assert run.runtime is None

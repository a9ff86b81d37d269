"""The checkpoint benchmark: a stall of known length, a cold file and a slow disk must show."""

import math
import os
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import controls, disk, saving
from benchmarks.checkpoint import bytes_of, main, report, stall, stall_of_a_step, values_of
from benchmarks.report import OURS
from benchmarks.savers import CONTROLS, SAVERS
from benchmarks.trained import Memcpy, Trained

SMALL_BYTES = 2e6


def window(
    call_s: float, after_s: list[float], *, memcpy_s: float = 0.1, step_s: float = 1.0
) -> dict[str, Any]:
    """One save as a process prints it."""
    return {
        "memcpy_s": memcpy_s,
        "call_s": call_s,
        "before_s": [step_s] * 10,
        "after_s": [step_s + one for one in after_s] + [step_s] * (10 - len(after_s)),
    }


def test_the_stall_is_the_call_and_what_the_next_steps_lose() -> None:
    """The save call and the later steps' lost time both count, in multiples of a memcpy."""
    assert stall([window(0.1, [])]) == pytest.approx(1.0)
    assert stall([window(0.1, [0.05, 0.0, 0.02])]) == pytest.approx(1.7)


def test_a_slow_down_that_every_save_has_is_seen_and_one_of_the_machine_is_not() -> None:
    """Two steps that lose time after each save count in full, a single hiccup does not."""
    saves = [window(0.1, [0.03, 0.04]) for _ in range(5)]
    saves[2]["after_s"][7] += 60.0
    assert stall(saves) == pytest.approx(1.7)


def test_each_save_is_compared_with_its_own_seconds() -> None:
    """A machine that is twice as slow for a while does not make a save look worse."""
    slow = window(0.2, [0.1], memcpy_s=0.2, step_s=2.0)
    assert stall([slow]) == pytest.approx(stall([window(0.1, [0.05])]))
    assert stall_of_a_step([slow]) == pytest.approx(15.0)


@pytest.mark.parametrize(("text", "count"), [("100MB", 1e8), ("3GB", 3e9), ("0.5mb", 5e5)])
def test_sizes_are_decimal(text: str, count: float) -> None:
    """Sizes are powers of ten, as makers state those of disks and memory bandwidth."""
    assert bytes_of(text) == count


def test_a_size_without_a_unit_is_refused() -> None:
    """A size needs a unit, because a number of bytes is probably a mistake."""
    with pytest.raises(ValueError, match="a size ends in"):
        bytes_of("100")


def result(saver: str, call_s: float, **more: Any) -> dict[str, Any]:
    """The document that one process prints."""
    return {
        "saver": saver,
        "bytes": 100_000_000,
        "threads": 1,
        "device": "cpu",
        "set_up_s": 0.5,
        "stalls": [window(3 * call_s, []), window(call_s, [])],
        "durable": [(1.2, 1.0), (0.5, 1.0), (1.4, 1.0)],
        "peak_bytes": 2e8,
        "load_s": [0.1, 0.3, 0.2],
        "validation": {},
        **more,
    }


VALIDATION = {
    "bytes": 2e9,
    "cold": [(1.0, 1.0), (2.0, 1.6), (1.5, 1.0)],
    "cached": [0.5],
    "unchanged": [0.001, 0.004, 0.002],
}


def test_figures_are_medians_beside_their_references() -> None:
    """Quotients are taken pair by pair; the first save is separate from the later ones."""
    values = values_of([result(OURS, 0.1, validation=VALIDATION)])
    assert values["first"] == pytest.approx(3.0)
    assert values["median"] == pytest.approx(1.0)
    assert values["durable ÷ dd"] == pytest.approx(1.2)
    assert values["load"] == pytest.approx(0.2)
    assert values["cold"] == pytest.approx(2 / 1.5)
    assert values["cold ÷ dd"] == pytest.approx(1.25)
    assert values["cached"] == pytest.approx(4.0)
    assert values["unchanged"] == pytest.approx(2.0)


@pytest.mark.parametrize(("call_s", "holds"), [(0.03, True), (0.2, False)])
def test_a_missed_target_fails_the_report(call_s: float, holds: bool) -> None:
    """Only our saver has targets; a peer without a figure shows a dash."""
    results = {
        OURS: [result(OURS, call_s, validation=VALIDATION)],
        "torch.save": [result("torch.save", 5.0)],
    }
    found = report("100MB", results, "cpu")
    assert found.holds is holds
    cold = next(row for row in found.rows if row.what.startswith("validation, not"))
    assert cold.values["torch.save"] == "–"


def test_a_file_is_cold_or_cached_for_certain(tmp_path: Path) -> None:
    """A dropped file is read from the disk again, a file that was read is in memory.

    is_cached changes nothing: a check that began to read would be seen by the next check.
    """
    file = tmp_path / "data"
    file.write_bytes(os.urandom(8 << 20))
    fd = os.open(file, os.O_RDONLY)
    try:
        disk.drop([file])
        assert not disk.is_cached(fd)
        time.sleep(0.2)
        assert not disk.is_cached(fd)
        disk.warm([file])
        assert disk.is_cached(fd)
    finally:
        os.close(fd)


def test_dd_moves_all_bytes_and_leaves_nothing(tmp_path: Path) -> None:
    """dd's time is that of every file; a missing file is an error, not a quick disk."""
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_bytes(os.urandom(3 << 20))
    assert disk.size_of(files) == 6 << 20
    assert disk.write_seconds(files, tmp_path / "copy") > 0
    assert disk.read_seconds(files) > 0
    assert disk.files_of(tmp_path) == files
    with pytest.raises((disk.DiskError, FileNotFoundError)):
        disk.read_seconds([tmp_path / "missing"])


def test_the_state_is_that_of_adamw_and_every_step_changes_all_of_it() -> None:
    """Weights and both moments have about the wanted size, and every step changes the weights."""
    trained = Trained(SMALL_BYTES, "cpu")
    trained.train(1)
    tensors = trained.tensors()
    assert Memcpy(tensors).bytes == pytest.approx(SMALL_BYTES, rel=0.35)
    assert Memcpy(tensors).seconds() > 0
    before = [one.clone() for one in trained.model.parameters()]
    assert len(trained.train(2)) == 2
    assert all(
        not one.equal(old) for one, old in zip(trained.model.parameters(), before, strict=True)
    )


def test_memcpy_moves_every_byte_of_the_state() -> None:
    """The copy is the whole state, tensors without a dimension included."""
    sources = [torch.randn(5, 7), torch.tensor(3.0), torch.arange(9, dtype=torch.int64)]
    memcpy = Memcpy(sources)
    assert memcpy.bytes == 5 * 7 * 4 + 4 + 9 * 8
    memcpy.seconds()
    assert all(one.equal(target) for one, target in zip(sources, memcpy._targets, strict=True))


class _Sleeper:
    """A saver whose call takes a known time, and a further known time until it is durable."""

    def __init__(self, trained: Trained, directory: Path) -> None:
        self._path = directory / "kept"
        self._path.mkdir()
        (self._path / "file").write_bytes(b"x" * 1000)

    def save(self) -> None:
        time.sleep(0.08)

    def finish(self) -> Path:
        time.sleep(0.05)
        return self._path

    def load(self, path: Path) -> None:
        time.sleep(0.03)

    def close(self) -> None:
        """Do nothing."""


def test_what_a_saver_takes_is_what_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measured call, time to durable and load are the times that the saver sleeps."""
    monkeypatch.setitem(SAVERS, "sleeper", _Sleeper)
    measured = saving.measure("sleeper", SMALL_BYTES, 2, tmp_path, "cpu")
    assert min(one.call_s for one in measured.stalls) >= 0.08
    assert statistics.median(seconds for seconds, _ in measured.durable) >= 0.13
    assert min(measured.load_s) >= 0.03
    assert all(len(one.after_s) == saving.STEPS for one in measured.stalls)


@pytest.mark.parametrize("name", [OURS, "torch.save", "DCP save", "DCP thread"])
def test_every_saver_brings_back_what_it_saved(name: str, tmp_path: Path) -> None:
    """Every saver loads the state that it saved; otherwise its times would mean nothing."""
    trained = Trained(SMALL_BYTES, "cpu")
    trained.train(2)
    saver = SAVERS[name](trained, tmp_path)
    try:
        trained.train(1)
        kept = [one.clone() for one in trained.tensors()]
        saver.save()
        path = saver.finish()
        assert path is not None
        trained.train(2)
        saver.load(path)
        assert all(one.equal(old) for one, old in zip(trained.tensors(), kept, strict=True))
    finally:
        saver.close()


def test_a_saver_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown saver is refused at once, and not after the others have run for an hour."""
    monkeypatch.setattr("sys.argv", ["checkpoint", "--savers", "torch.save,DCP"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "no such savers: DCP; there are supervisor, torch.save" in capsys.readouterr().err


def test_the_control_saves_nothing(tmp_path: Path) -> None:
    """The control shows noise: its call takes no time, and the disk stays empty."""
    measured = saving.measure("control", SMALL_BYTES, 2, tmp_path, "cpu")
    assert min(one.call_s for one in measured.stalls) < 0.05
    assert math.isfinite(values_of([result("control", 0.0, durable=[])])["first"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["memory alone", "dd alone"])
def test_controls_leave_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither control writes a checkpoint while it is measured, and both clean up."""
    memory, disk_folder = tmp_path / "memory", tmp_path / "disk"
    memory.mkdir()
    disk_folder.mkdir()
    monkeypatch.setattr(controls, "_SHARED_MEMORY", memory)
    measured = saving.measure(name, SMALL_BYTES, 3, disk_folder, "cpu")
    assert len(measured.stalls) == 3
    assert not measured.durable
    assert not list(memory.iterdir())
    assert not list(disk_folder.glob(".dd"))


def test_dd_alone_writes_the_whole_state(tmp_path: Path) -> None:
    """dd writes as many bytes as the state has; with fewer it would look cheap."""
    trained = Trained(SMALL_BYTES, "cpu")
    trained.train(1)
    dd = CONTROLS["dd alone"](trained, tmp_path)
    try:
        dd.save()
        dd._process.wait()  # type: ignore[attr-defined]
        written = (tmp_path / ".dd").stat().st_size
        assert written >= sum(one.nbytes for one in trained.tensors())
        dd.finish()
        assert not (tmp_path / ".dd").exists()
    finally:
        dd.close()


def test_ours_is_validated_cold_cached_and_not_again(tmp_path: Path) -> None:
    """Our saver runs with a small state in a whole process."""
    measured = saving.measure(OURS, SMALL_BYTES, 2, tmp_path, "cpu")
    validation = measured.validation
    assert validation["bytes"] > SMALL_BYTES / 2
    assert len(validation["cold"]) == len(validation["cached"]) == 2
    assert statistics.median(validation["unchanged"]) < 0.5

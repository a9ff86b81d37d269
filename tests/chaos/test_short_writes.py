"""Short writes, and files that may not grow: no such file is called whole."""

import os
import resource
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.conftest import SHARE, Count
from tests.chaos.driver import Order
from tests.chaos.nursery import Trainer
from tests.chaos.templates import FIRST, SECOND
from tests.chaos.trainee import resumed, uninterrupted
from tests.chaos.workbench import CASES, Bench

SEEDS = range(1, 1 + max(2, 64 // SHARE))
CASE = CASES["a further save"]


@pytest.fixture(scope="module")
def preload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled wrapper around write(2)."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("there is no C compiler; .ci/run brings one where it is root")
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("preload") / "short_writes.so"
    source = Path(__file__).with_name("short_writes.c")
    words = [compiler, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", str(source), "-ldl"]
    subprocess.run([*words, "-o", str(library)], check=True)
    return library


@pytest.mark.timeout(300)
def test_short_writes_of_the_persister(
    bench: Bench, preload: Path, tmp_path: Path, record_property: Count
) -> None:
    """Three of four writes end early, and the checkpoint still has every byte."""
    counter = tmp_path / "count"
    counter.write_bytes(bytes(8))
    for seed in SEEDS:
        service = bench.start(
            CASE,
            LD_PRELOAD=str(preload),
            CHAOS_SHORT_SEED=str(seed),
            CHAOS_SHORT_COUNT=str(counter),
        )
        try:
            bench.save(service, 0)
            assert service.wait_for_result()
            assert service.end() == (0, "")
        finally:
            service.kill()
        assert bench.place.judge((FIRST,), (FIRST,)) is None
    (count,) = struct.unpack("<Q", counter.read_bytes())
    assert count > 8 * len(SEEDS)
    record_property("short write of the persister", count)


@pytest.mark.timeout(300)
def test_short_writes_of_the_trainer(
    bench: Bench, preload: Path, tmp_path: Path, record_property: Count
) -> None:
    """The trainer's saves to the disk and into memory still have every byte."""
    counter = tmp_path / "count"
    counter.write_bytes(bytes(8))
    place = bench.place
    place.clear()
    words = [sys.executable, "-m", "tests.chaos.driver", "whatever is written"]
    environment = {
        "LD_PRELOAD": str(preload),
        "CHAOS_SHORT_SEED": "7",
        "CHAOS_SHORT_COUNT": str(counter),
    }
    said = subprocess.run(
        [*words, str(place.out), str(place.memory)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert said == uninterrupted()
    seen = place.look(with_memory=True)
    whole = [one for one in seen.entries if one.valid]
    assert {one.step for one in whole if one.tier == "disk"} == {2, 3, 4, 5, 6}
    assert {one.step for one in whole if one.tier == "memory"} == {8, 9}
    for one in whole:
        assert resumed(one.path) == uninterrupted(), one.path
    (count,) = struct.unpack("<Q", counter.read_bytes())
    assert count > 50
    record_property("short write of the trainer", count)


@pytest.mark.timeout(300)
def test_a_file_of_the_trainer_that_may_not_grow(
    bench: Bench, tmp_path: Path, record_property: Count
) -> None:
    """A save straight to the disk fails and leaves nothing; the next save is whole."""
    place = bench.place
    found = limits(bench.templates.plain)
    failed = 0
    for limit in found[:: 1 if SHARE == 1 else 2]:
        place.clear()
        order = Order("where no file may grow", place.out, place.memory, largest_file=limit)
        trainer = Trainer(order, tmp_path / "log")
        try:
            report = trainer.go_on()
        finally:
            trainer.kill()
        assert report is not None
        assert report.digest == uninterrupted()
        steps = {one.step for one in place.look(with_memory=True).entries}
        failed += steps == {9}
        assert steps in ({9}, {8, 9})
        assert place.judge((9,), (9,)) is None
        assert place.judge_rest() is None
    assert failed > 2
    record_property("a file of the trainer that may not grow", failed)


def limits(template: Path) -> list[int]:
    """Sizes at which a file of a checkpoint ends too early, and the first at which none does."""
    folder = template / "slot-0" / f"checkpoint-{FIRST}"
    sizes = {path.stat().st_size for path in folder.iterdir()}
    least = 2048  # the board must be written, or the test learns no result
    near = {size + by for size in sizes for by in (-1, 0)} | {max(sizes) // n for n in range(1, 13)}
    return sorted(one for one in near if one >= least)


@pytest.mark.timeout(300)
def test_a_file_that_may_not_grow(bench: Bench, record_property: Count) -> None:
    """RLIMIT_FSIZE: a short write, then EFBIG. That save fails, the next one is whole."""
    found = limits(bench.templates.plain)
    largest = max(found)
    failed = 0
    for limit in found[:: 1 if SHARE == 1 else 2]:
        service = bench.start(CASE)
        try:
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            bench.save(service, 0)
            assert service.wait_for_result()
            board = service.board
            assert board is not None
            result = board.results[-1]
            assert result.ok == (limit >= largest)
            failed += not result.ok
            assert result.ok or "File too large" in str(result.error)
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            bench.save(service, 1)
            assert service.wait_for_result(2)
            assert service.end() == (0, "")
        finally:
            service.kill()
        assert bench.place.judge((SECOND,), (SECOND,)) is None
        assert bench.place.judge_rest() is None
    assert failed > 2
    record_property("a file of the persister that may not grow", failed)

"""A rank comes back to a runtime directory that vanished (RemoveIPC) and was made again."""

import shutil
import signal
import timeit
from pathlib import Path

import pytest

from supervisor.worker import page_repair
from supervisor.worker.heartbeat import PageWriter
from supervisor.worker.page_reading import read_page
from supervisor.worker.page_repair import PageRepair
from tests.vanishing import vanish
from tests.worker.conftest import Trainers


def test_a_rank_puts_its_page_and_its_stacks_back(trainers: Trainers) -> None:
    """A second later beats, phases and stacks are where the supervisor looks for them."""
    process = trainers.start(
        """
        import time
        from supervisor.worker import attach
        run = attach()
        step = 0
        while not run.should_stop:
            step += 1
            run.beat(step=step, loss=0.5)
            time.sleep(0.01)
        run.exit_preempted()
        """
    )
    page = trainers.heartbeats / "rank-0"
    stacks = trainers.heartbeats / "stacks-0.txt"
    trainers.eventually(lambda: (found := read_page(page)) and (found.step or 0) > 3)
    before = read_page(page)
    assert before is not None
    assert before.step is not None
    vanish(trainers.heartbeats)
    trainers.heartbeats.mkdir()
    trainers.eventually(lambda: (found := read_page(page)) and found.step > (before.step or 0) + 3)
    after = read_page(page)
    assert after is not None
    assert (after.pid, after.beats > before.beats) == (process.pid, True)
    process.send_signal(signal.SIGUSR2)
    trainers.eventually(lambda: stacks.exists() and "Current thread" in stacks.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 75
    ended = read_page(page)
    assert ended is not None
    assert ended.outcome is not None


def test_looking_costs_one_call_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks there is no system call; if the page is there, nothing is done."""
    monkeypatch.setattr(page_repair, "LOOKS_S", 1000.0)
    page = PageWriter(tmp_path / "rank-0", start_ticks=1)
    kept = PageRepair(page, None)
    (tmp_path / "rank-0").unlink()
    # The best of many rounds, so that a busy machine does not decide.
    assert min(timeit.repeat(kept.look, number=1_000, repeat=30)) / 1_000 < 5e-6
    assert not (tmp_path / "rank-0").exists()
    monkeypatch.setattr(page_repair, "LOOKS_S", 0.0)
    PageRepair(page, None).look()
    assert (tmp_path / "rank-0").exists()


def test_another_ranks_page_is_left_alone(tmp_path: Path) -> None:
    """A process that has not begun does not replace the page of a later one."""
    old = PageWriter(tmp_path / "rank-0", start_ticks=1)
    PageWriter(tmp_path / "rank-0", start_ticks=2)
    assert not old.look()
    found = read_page(tmp_path / "rank-0")
    assert found is not None
    assert found.start_ticks == 2


def test_a_directory_that_is_still_gone_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is not made again yet: beats go on, and a later look finds it."""
    monkeypatch.setattr(page_repair, "LOOKS_S", 0.0)
    folder = tmp_path / "attempt"
    folder.mkdir()
    page = PageWriter(folder / "rank-0", start_ticks=1)
    kept = PageRepair(page, None)
    shutil.rmtree(folder)
    kept.look()
    page.beat(step=7)
    folder.mkdir()
    kept.look()
    found = read_page(folder / "rank-0")
    assert found is not None
    assert found.step == 7
    page.beat(step=8)
    again = read_page(folder / "rank-0")
    assert again is not None
    assert again.step == 8

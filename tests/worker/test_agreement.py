"""Several ranks of one node stop at one step, whichever rank was told first."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.worker.heartbeat import PageWriter
from supervisor.worker.page_reading import read_page
from supervisor.worker.stop_barrier import StopBarrier

if TYPE_CHECKING:
    from tests.worker.conftest import Trainers

# Files stand for a collective: no rank finishes step s + 1 before all have finished step s.
RANK = """
    import os, sys, time
    from pathlib import Path
    from supervisor.worker import attach
    run = attach()
    rank, world = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    folder, delay = Path(os.environ["STEPS"]), float(os.environ["DELAY"])
    print("ready", flush=True)
    step = int(os.environ.get("FROM", "0"))
    while True:
        step += 1
        time.sleep(delay)
        (folder / f"{rank}-{step}").touch()
        waited = time.monotonic()
        while any(not (folder / f"{other}-{step}").exists() for other in range(world)):
            if time.monotonic() - waited > 60:
                sys.exit(f"rank {rank} was left alone at {step}")
            time.sleep(0.001)
        run.beat(step=step)
        if run.should_stop:
            run.exit_preempted(step=step)
"""


def start(trainers: Trainers, rank: int, world: int, delay: float) -> subprocess.Popen[str]:
    """Start one rank; the ranks differ in how long a step takes."""
    steps = trainers.folder / "steps"
    steps.mkdir(exist_ok=True)
    return trainers.start(
        RANK,
        LOCAL_RANK=str(rank),
        LOCAL_WORLD_SIZE=str(world),
        DELAY=str(delay),
        STEPS=str(steps),
        SUPERVISOR_ATTEMPT="2",
    )


def beats(trainers: Trainers, rank: int) -> int:
    """The number of steps that a rank has done."""
    page = read_page(trainers.heartbeats / f"rank-{rank}")
    return page.beats if page else 0


def endings(trainers: Trainers, processes: list[subprocess.Popen[str]]) -> set[int | None]:
    """The steps at which the ranks stopped, all with 75."""
    assert [process.wait(90) for process in processes] == [75] * len(processes)
    pages = [read_page(trainers.heartbeats / f"rank-{rank}") for rank in range(len(processes))]
    assert all(page is not None and page.stop_seen for page in pages)
    return {page.outcome.step for page in pages if page is not None and page.outcome is not None}


def test_one_signalled_rank_stops_all(trainers: Trainers) -> None:
    """All ranks leave at the same step, soon after one was signalled."""
    processes = [start(trainers, rank, 3, 0.002 * rank) for rank in range(3)]
    trainers.eventually(lambda: beats(trainers, 0) > 5)
    before = beats(trainers, 0)
    processes[1].send_signal(signal.SIGTERM)
    after = beats(trainers, 0)
    (step,) = endings(trainers, processes)
    assert step is not None
    assert before < step < after + 20


def test_all_signalled_at_once_and_again(trainers: Trainers) -> None:
    """Ranks that propose a step at once, and repeated signals, still agree on one step."""
    processes = [start(trainers, rank, 3, 0.003 * rank) for rank in range(3)]
    trainers.eventually(lambda: beats(trainers, 2) > 5)
    for _ in range(3):
        for process in reversed(processes):
            process.send_signal(signal.SIGUSR1)
    assert len(endings(trainers, processes)) == 1


def test_a_rank_that_attaches_late_joins(trainers: Trainers) -> None:
    """The first rank, signalled before the other started, waits for a step that both reach."""
    first = start(trainers, 0, 2, 0.0)
    assert trainers.line(first) == "ready"
    first.send_signal(signal.SIGTERM)
    second = start(trainers, 1, 2, 0.001)
    assert len(endings(trainers, [first, second])) == 1


def page(folder: Path, rank: int, step: int, attempt: int = 1) -> PageWriter:
    """A page of this process, for a rank at a step."""
    writer = PageWriter(folder / f"rank-{rank}", local_rank=rank, attempt=attempt)
    writer.beat(step=step)
    return writer


def test_the_step_lies_beyond_the_rank_that_is_furthest(tmp_path: Path) -> None:
    """A rank that is ahead is not asked to stop in its past; other attempts do not count."""
    page(tmp_path, 0, 10)
    page(tmp_path, 1, 14)
    page(tmp_path, 2, 9999, attempt=0)
    behind, ahead = (StopBarrier(tmp_path, 1, "1-0") for _ in range(2))
    assert not ahead.is_reached(14, asked=False)
    assert not behind.is_reached(10, asked=True)
    assert [ahead.is_reached(step, asked=False) for step in (14, 15, 16, 17)] == [
        False, False, True, True,
    ]  # fmt: skip
    assert [behind.is_reached(step, asked=True) for step in (15, 16)] == [False, True]
    later = StopBarrier(tmp_path, 1, "1-0")
    assert [later.is_reached(step, asked=False) for step in (15, 16)] == [False, True]


def test_another_round_starts_undecided(tmp_path: Path) -> None:
    """An agreement of an earlier attempt does not stop the next attempt's ranks."""
    page(tmp_path, 0, 10)
    assert StopBarrier(tmp_path, 1, "1-0").is_reached(10, asked=True) is False
    assert StopBarrier(tmp_path, 1, "1-0").is_reached(12, asked=False)
    assert not StopBarrier(tmp_path, 2, "2-0").is_reached(12, asked=False)


def test_a_claimant_that_died_is_replaced(tmp_path: Path, trainers: Trainers) -> None:
    """A claim without a step, left by a killed rank, does not keep the others from stopping."""
    page(tmp_path, 0, 3)
    agreement = StopBarrier(tmp_path, 1, "1-0")
    (tmp_path / "stop-1-0.claim").touch()
    assert not agreement.is_reached(3, asked=True)
    steps = itertools.count(4)
    trainers.eventually(lambda: agreement.is_reached(next(steps), asked=True))


def test_nobody_leaves_inside_a_step_unasked(tmp_path: Path) -> None:
    """An unwritten page agrees on nothing, also before the first step."""
    ranks = [StopBarrier(tmp_path, 1, "1-0", local_rank) for local_rank in (0, 1)]
    for step in (-1, 0, 1):
        for rank in ranks:
            assert not rank.is_reached_inside(step, 1, proposes=False)
    assert not ranks[0].is_reached_inside(0, 2, proposes=True)
    assert [rank.is_reached_inside(0, 4, proposes=False) for rank in ranks] == [True, True]


def test_a_handler_of_c_code_is_left_alone() -> None:
    """`signal.getsignal` does not see what `faulthandler.register` has set."""
    script = (
        "import faulthandler, signal\n"
        "from supervisor.worker.stop_signals import STOP_SIGNALS, unhandled\n"
        "before = unhandled(STOP_SIGNALS, print)\n"
        "faulthandler.register(signal.SIGUSR1)\n"
        "assert before == STOP_SIGNALS, before\n"
        "assert unhandled(STOP_SIGNALS, print) == (signal.SIGTERM,)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)

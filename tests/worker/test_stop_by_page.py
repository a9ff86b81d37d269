"""The byte in the page that asks for a stop: should_stop reads it, the launcher writes it."""

from __future__ import annotations

import signal
import subprocess
import sys
import timeit
from pathlib import Path

import pytest

from supervisor.launcher.attached_ranks import Attached, ask_to_stop, attached
from supervisor.system.identity import own_start_ticks, start_ticks
from supervisor.worker.heartbeat import PageWriter
from supervisor.worker.page_layout import PAGE_BYTES
from supervisor.worker.page_reading import read_page
from tests.vanishing import vanish
from tests.worker.conftest import Trainers

LOOP = """
    import os, time
    from supervisor.worker import attach
    run = attach()
    step = 0
    while not run.should_stop:
        step += 1
        run.beat(step=step)
        time.sleep(0.005)
    run.exit_preempted(step=step)
"""


def ask(trainers: Trainers) -> list[Attached]:
    """Ask all attached ranks to stop, as the launcher does."""
    pages = attached(str(trainers.heartbeats))
    for page in pages:
        ask_to_stop(page)
    return pages


def test_a_page_stops_its_rank_and_shows_who_reads_it(trainers: Trainers) -> None:
    """Without a signal the worker shows that it reads the byte, sees it, and leaves with 75."""
    process = trainers.start(LOOP)
    trainers.eventually(lambda: [page.reads_stop for page in attached(str(trainers.heartbeats))])
    (page,) = ask(trainers)
    assert (page.pid, page.start_ticks) == (process.pid, start_ticks(process.pid))
    assert (page.is_asked, page.has_outcome) == (False, False)
    assert process.wait(90) == 75
    (page,) = ask(trainers)
    assert (page.is_asked, page.has_outcome, page.reads_stop) == (True, True, True)
    ended = read_page(page.path)
    assert ended is not None
    assert ended.stop_seen


def test_one_asked_rank_stops_all_at_one_step(trainers: Trainers) -> None:
    """If ranks agree on a step, the page's byte counts like a signal."""
    both = [
        trainers.start(LOOP, LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE="2", SUPERVISOR_ATTEMPT="1")
        for rank in range(2)
    ]
    trainers.eventually(lambda: len(attached(str(trainers.heartbeats))) == 2)
    ask_to_stop(attached(str(trainers.heartbeats))[1])
    assert [process.wait(90) for process in both] == [75, 75]


def test_an_asked_page_that_is_put_back_is_still_asked(tmp_path: Path) -> None:
    """RemoveIPC between the stop and the next step loses no stop."""
    writer = PageWriter(tmp_path / "rank-0", start_ticks=3)
    (page,) = attached(str(tmp_path))
    ask_to_stop(page)
    (tmp_path / "rank-0").unlink()
    assert writer.look()
    assert writer.is_stop_asked
    (page,) = attached(str(tmp_path))
    assert (page.is_asked, page.reads_stop) == (True, True)


def test_a_rank_whose_directory_came_back_is_asked_there(trainers: Trainers) -> None:
    """The launcher asks again at each look: the page that the rank put back has the byte, too."""
    process = trainers.start(LOOP)
    trainers.eventually(lambda: attached(str(trainers.heartbeats)))
    vanish(trainers.heartbeats)
    assert ask(trainers) == []
    trainers.heartbeats.mkdir()
    trainers.eventually(lambda: ask(trainers) or process.poll() is not None)
    assert process.wait(90) == 75


def test_a_forked_child_does_not_inherit_the_stop(trainers: Trainers) -> None:
    """A loader that is forked during the last save goes on until its parent ends it."""
    code = LOOP + "".join(
        f"    {line}\n" if line else "\n"
        for line in ("if os.fork() == 0:", "    os._exit(0 if not run.should_stop else 9)")
    )
    text = code.replace("    run.exit_preempted(step=step)\n", "") + (
        "    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0\n    run.exit_preempted()\n"
    )
    process = trainers.start(text)
    trainers.eventually(lambda: attached(str(trainers.heartbeats)))
    ask(trainers)
    _, err = process.communicate(timeout=90)
    assert (process.returncode, err) == (75, "")


def test_another_ranks_page_is_not_written(tmp_path: Path) -> None:
    """Between the look and the write a restarted rank may have put its own page there."""
    PageWriter(tmp_path / "rank-0", start_ticks=3)
    (page,) = attached(str(tmp_path))
    PageWriter(tmp_path / "rank-0", start_ticks=4)
    ask_to_stop(page)
    assert not attached(str(tmp_path))[0].is_asked


@pytest.mark.parametrize("content", [b"", b"TSHB", b"TSHB" + b"\xff" * 200, b"\0" * PAGE_BYTES])
def test_what_is_no_page_is_passed_over(tmp_path: Path, content: bytes) -> None:
    """A file that is no page is neither read nor written."""
    (tmp_path / "rank-0").write_bytes(content)
    assert attached(str(tmp_path)) == []
    ask_to_stop(Attached(str(tmp_path / "rank-0"), 1, 1, 0, False, False, False))
    assert (tmp_path / "rank-0").read_bytes() == content
    assert attached(str(tmp_path / "absent")) == []
    ask_to_stop(Attached(str(tmp_path / "absent"), 1, 1, 0, False, False, False))
    assert not (tmp_path / "absent").exists()


def test_looking_costs_less_than_a_microsecond(tmp_path: Path) -> None:
    """A look reads a mapped byte; the best of many rounds counts, as the machine may be busy."""
    writer = PageWriter(tmp_path / "rank-0")
    rounds = timeit.repeat(lambda: writer.is_stop_asked, number=10_000, repeat=20)
    assert min(rounds) / 10_000 < 1e-6


def test_a_process_knows_its_start_time_under_a_foreign_proc() -> None:
    """Without its own /proc a PID namespace shows another process under our pid."""
    assert own_start_ticks() == start_ticks(int(Path("/proc/self").readlink().name))
    words = ["unshare", "--fork", "--pid", sys.executable, "-c"]
    code = (
        "import os; from supervisor.system.identity import own_start_ticks, read_stat;"
        "print(own_start_ticks() == int(read_stat(os.readlink('/proc/self'))[1][19]), os.getpid())"
    )
    asked = subprocess.run([*words, code], capture_output=True, text=True, check=False)
    if "unshare" in asked.stderr:
        pytest.skip("no PID namespace may be made here")
    assert asked.stdout == "True 1\n"


def test_signals_still_count(trainers: Trainers) -> None:
    """Beside the page, a signal alone still stops the rank."""
    process = trainers.start(LOOP)
    trainers.eventually(lambda: attached(str(trainers.heartbeats)))
    trainers.eventually(lambda: attached(str(trainers.heartbeats))[0].reads_stop)
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 75

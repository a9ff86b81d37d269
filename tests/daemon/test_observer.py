"""What the daemon learns from heartbeat pages: steps and phases, and never more than they show."""

import os
import time
from pathlib import Path

import pytest

from supervisor.core.vocabulary import Phase
from supervisor.daemon.look.observer import Observation, Observer
from supervisor.daemon.look.printed_log import PrintedLog
from supervisor.daemon.look.rank_presence import RankPresence
from supervisor.system.identity import start_ticks
from supervisor.worker.heartbeat import PageWriter
from supervisor.worker.page_reading import read_pages


class Watched:
    """A page of this very process, and its observer."""

    def __init__(self, folder: Path) -> None:
        self.page = PageWriter(folder / "rank-0", start_ticks=start_ticks(os.getpid()) or 0)
        self.printed = PrintedLog(folder / "train.log", offset=0)
        self.observer = Observer(1, folder, self.printed, progress=None, now=time.monotonic())

    def spend(self, phase: Phase, seconds: float) -> None:
        """Spend so long in a phase."""
        outer, since_ns = self.page.phase, self.page.enter(phase)
        time.sleep(seconds)
        self.page.leave(phase, outer, since_ns, completed=True)

    def look(self) -> Observation:
        """Look once, now."""
        return self.observer.look(time.monotonic())


def test_a_phase_between_two_beats_is_no_step_time(tmp_path: Path) -> None:
    """An evaluation of ten minutes must not teach the deadline that a step takes ten minutes."""
    watched = Watched(tmp_path)
    watched.page.beat(1)
    watched.look()
    watched.spend(Phase.EVAL, 3.0)
    watched.page.beat(2)
    gap_s = watched.look().observed.gap_s
    assert gap_s is not None
    assert gap_s < 2.0


def test_all_phases_are_learned(tmp_path: Path) -> None:
    """A long evaluation does not hide how long a save took."""
    watched = Watched(tmp_path)
    watched.page.beat(1)
    watched.spend(Phase.EVAL, 0.05)
    watched.spend(Phase.SAVE, 0.02)
    learned = dict(watched.look().observed.finished_phases)
    assert learned[Phase.EVAL] >= 0.05
    assert learned[Phase.SAVE] >= 0.02


def test_closing_leaves_no_descriptor_open(tmp_path: Path) -> None:
    """Each of many attempts closes its pages and its log."""
    (tmp_path / "train.log").write_text("a line\n")
    watched = Watched(tmp_path)
    watched.page.beat(1)
    watched.look()
    watched.observer.close()
    watched.printed.close()
    left = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    assert str(tmp_path / "train.log") not in left


@pytest.mark.parametrize(
    ("step", "printed", "is_reached"),
    [
        (200, "\r100%|##| 199/200 [00:04<00:00]\r100%|##| 200/200 [00:04<00:00]", True),
        (199, "100%|##| 200/200 [00:04<00:00]\nevaluating\n", True),
        (150, "75%|##| 150/200 [00:03<00:01]\n", False),
        (4200, "100%|##| 200/200 [00:04<00:00]\n", False),
    ],
)
def test_a_full_bar_that_counts_as_the_beats_do(
    tmp_path: Path, step: int, printed: str, is_reached: bool
) -> None:
    """No step is expected after a full bar; a full bar of one epoch of many means nothing."""
    watched = Watched(tmp_path)
    watched.page.beat(step)
    (tmp_path / "train.log").write_text(printed)
    assert watched.look().observed.is_at_total is is_reached
    assert watched.look().observed.is_at_total is is_reached
    watched.page.beat(step + 10)
    assert watched.look().observed.is_at_total is False


def test_ranks_that_were_never_seen_are_not_known_to_be_gone(tmp_path: Path) -> None:
    """Their pids may be of another PID namespace; but an earlier daemon may have seen them."""
    PageWriter(tmp_path / "rank-0", start_ticks=7)
    pages = [page._replace(pid=2**22 - 1) for page in read_pages(tmp_path)]
    presence = RankPresence()
    presence.look(pages, 10.0)
    assert presence.all_gone_at(pages) is None
    presence = RankPresence(were_gone=True)
    presence.look(pages, 10.0)
    assert presence.all_gone_at(pages) == 10.0


def test_pages_of_an_earlier_round_are_nobodys_loss(tmp_path: Path) -> None:
    """torchrun went on with fewer ranks: ranks that were gone before are not missing."""
    own = start_ticks(os.getpid()) or 0
    pages = [
        PageWriter(tmp_path / f"rank-{rank}", start_ticks=own, local_rank=rank) for rank in (0, 1)
    ]
    assert pages
    first, second = read_pages(tmp_path)
    presence = RankPresence()
    presence.look([first, second], 10.0)
    left = second._replace(start_ticks=own + 1)
    presence._seen.add((left.pid, left.start_ticks))
    born_s = first.created_monotonic_ns / 1e9
    presence.look([first, left], born_s - 5.0)
    assert presence.gone_among([first, left]) == []
    later = RankPresence()
    later._seen.add((left.pid, left.start_ticks))
    later.look([first, left], born_s + 5.0)
    assert later.gone_among([first, left]) == [left]

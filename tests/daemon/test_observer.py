"""What the daemon learns from heartbeat pages: steps and phases, and never more than they show."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.core.vocabulary import Phase
from supervisor.daemon.look.observer import Observation, Observer
from supervisor.daemon.look.printed_log import PrintedLog
from supervisor.daemon.look.progress import ProgressReader
from supervisor.daemon.look.rank_presence import RankPresence
from supervisor.system.identity import start_ticks
from supervisor.worker.heartbeat import PageWriter
from supervisor.worker.page_reading import read_pages


def bar(number: int, total: int) -> str:
    """A progress bar as tqdm leaves it, with a loss."""
    return f" 37%|###7 | {number}/{total} [01:02<01:45, 5.97it/s, loss=1.5]"


class Watched:
    """A page of this very process, and its observer."""

    def __init__(self, folder: Path, pattern: str | None = None) -> None:
        self.log = folder / "train.log"
        self.page = PageWriter(folder / "rank-0", start_ticks=start_ticks(os.getpid()) or 0)
        self.printed = PrintedLog(folder / "train.log", offset=0)
        progress = ProgressReader(pattern) if pattern else None
        self.observer = Observer(1, folder, self.printed, progress=progress, now=time.monotonic())

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


def test_a_printed_bar_is_shown_and_decides_nothing(tmp_path: Path) -> None:
    """Without beats and `watch.progress` the core sees no step, whatever the log says."""
    watched = Watched(tmp_path)
    before = watched.look().observed
    watched.log.write_text(f"\r{bar(370, 1000)}\n{{'loss': 1.25, 'epoch': 3.2}}\r{bar(1000, 1000)}")
    look = watched.look()
    assert (look.course.step, look.course.total, look.course.epoch) == (1000, 1000, 3)
    assert (look.printed, look.epoch, look.loss, look.total) == ((), None, None, None)
    ages = {"log_age_s": 0.0, "beat_age_s": 0.0}
    assert replace(look.observed, **ages) == replace(before, **ages)


def test_the_pattern_feeds_what_beats_do_not_say(tmp_path: Path) -> None:
    """Loss, total and epoch of `watch.progress` are shown; the newest of each stays."""
    watched = Watched(tmp_path, r"(?P<step>\d+)/(?P<total>\d+)|ep (?P<epoch>\d+) l (?P<loss>\S+)")
    watched.log.write_text("4/90\nep 2 l 0.5\n")
    look = watched.look()
    assert (look.observed.step, look.total, look.epoch, look.loss) == (4, 90, 2, 0.5)
    with watched.log.open("a") as log:
        log.write("6/90\n")
    look = watched.look()
    assert (look.observed.step, look.total, look.epoch, look.loss) == (6, 90, 2, 0.5)
    watched.page.beat(7, loss=0.25, grad_norm=1.5)
    look = watched.look()
    assert (look.observed.step, look.epoch, look.loss, look.grad_norm) == (7, None, 0.25, 1.5)


@pytest.mark.parametrize(
    ("step", "bars", "total"),
    [
        (40, [(40, 60)], 60),
        (41, [(40, 60)], 60),
        (40, [(160, 240)], None),
        (2, [(2, 60)], None),
        (40, [(40, 60), (55, 60)], 60),
        (40, [(40, 60), (1, 60)], 60),
    ],
)
def test_a_bar_that_counts_as_the_beats_do_says_the_total(
    tmp_path: Path, step: int, bars: list[tuple[int, int]], total: int | None
) -> None:
    """A bar of micro-batches says nothing of the steps, and the first few steps prove nothing."""
    watched = Watched(tmp_path)
    watched.page.beat(step)
    found = None
    for number, of in bars:
        with watched.log.open("a") as log:
            log.write(f"\r{bar(number, of)}\n")
        found = watched.look().total
    assert found == total

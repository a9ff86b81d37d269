"""What the daemon learns by looking at pages: steps, phases, and no more than was there."""

import os
import time
from pathlib import Path

from supervisor import page as heartbeat_page
from supervisor.core.phase import Phase
from supervisor.daemon.observer import Look, Observer
from supervisor.daemon.printed_log import PrintedLog
from supervisor.heartbeat import PageWriter
from supervisor.identity import start_ticks


class Watched:
    """A page of this very process, and an observer of it."""

    def __init__(self, folder: Path) -> None:
        self.page = PageWriter(folder / "rank-0", start_ticks=start_ticks(os.getpid()) or 0)
        self.printed = PrintedLog(folder / "train.log", offset=0)
        self.observer = Observer(1, folder, self.printed, progress=None, now=time.monotonic())

    def spend(self, phase: heartbeat_page.Phase, seconds: float) -> None:
        """Go through a phase."""
        outer, since_ns = self.page.phase, self.page.enter(phase)
        time.sleep(seconds)
        self.page.leave(phase, outer, since_ns, completed=True)

    def look(self) -> Look:
        """One look, now."""
        return self.observer.look(time.monotonic())


def test_a_phase_between_two_beats_is_no_step_time(tmp_path: Path) -> None:
    """Ten minutes of evaluation must not teach the deadline that a step takes ten minutes."""
    watched = Watched(tmp_path)
    watched.page.beat(1)
    watched.look()
    watched.spend(heartbeat_page.Phase.EVAL, 3.0)
    watched.page.beat(2)
    gap_s = watched.look().observed.gap_s
    assert gap_s is not None
    assert gap_s < 2.0


def test_all_phases_are_learned(tmp_path: Path) -> None:
    """A long evaluation does not hide how long a save took."""
    watched = Watched(tmp_path)
    watched.page.beat(1)
    watched.spend(heartbeat_page.Phase.EVAL, 0.05)
    watched.spend(heartbeat_page.Phase.SAVE, 0.02)
    learned = dict(watched.look().observed.finished_phases)
    assert learned[Phase.EVAL] >= 0.05
    assert learned[Phase.SAVE] >= 0.02


def test_closing_leaves_no_descriptor_open(tmp_path: Path) -> None:
    """Weeks of attempts: each closes its pages and its log."""
    (tmp_path / "train.log").write_text("a line\n")
    watched = Watched(tmp_path)
    watched.page.beat(1)
    watched.look()
    watched.observer.close()
    watched.printed.close()
    left = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    assert str(tmp_path / "train.log") not in left

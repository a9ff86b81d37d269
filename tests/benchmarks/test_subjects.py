"""Our side of the benchmark: it must find the processes that it charges, and time the deaths."""

from pathlib import Path

import psutil

from benchmarks.subjects import WORKLOAD, Ours, noticed_ms, start_training


def test_all_but_the_workload_is_charged(tmp_path: Path) -> None:
    """Launcher and daemon are found while training; the trainer is not, and no process stays."""
    running = start_training(Ours(), tmp_path)
    try:
        pids = running.overhead_pids()
        assert {"root", "daemon"} <= set(pids)
        commands = [psutil.Process(pid).cmdline() for pid in pids.values()]
        assert not any(WORKLOAD in command for command in commands)
        tree = psutil.Process(running.process.pid).children(recursive=True)
        assert any(WORKLOAD in child.cmdline() for child in tree)
    finally:
        running.end()
    assert not any(child.is_running() for child in tree)


def test_each_death_is_timed(tmp_path: Path) -> None:
    """Every death is paired with the line that reports it, and with no later line."""
    delays = noticed_ms(Ours(), tmp_path, 2)
    assert len(delays) == 2
    assert all(0 < delay < 5000 for delay in delays)

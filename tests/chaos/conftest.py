"""How thorough the chaos is, and how much of it there was.

`CHAOS=full` (what `make chaos` sets) takes every point; else a part is taken, the same each time.
strace is needed; without it these tests are skipped, but never in CI.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.strace_log import why_not_strace

IS_FULL = os.environ.get("CHAOS") == "full"


@pytest.fixture(autouse=True)
def _needs_strace() -> None:
    why = why_not_strace()
    if why is not None:
        if os.environ.get("CI"):
            pytest.fail(f"{why}; .ci/run brings it where it is root")
        pytest.skip(why)


@pytest.fixture
def fast_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where there is one: thousands of states are written and flushed."""
    is_there = os.access("/dev/shm", os.W_OK)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if is_there else tmp_path) as place:
        yield Path(place)


@pytest.fixture
def is_full() -> bool:
    """Whether every point is to be tried."""
    return IS_FULL


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many points of each kind were tried."""
    points: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for kind, count in getattr(report, "user_properties", ()):
            if isinstance(count, int):
                points[kind] += count
    for kind, count in sorted(points.items()):
        terminalreporter.write_line(f"chaos: {count} × {kind}")

"""How thorough the chaos is, and how much of it there was.

`CHAOS=full` (what `make test-chaos` sets) takes every point; else a part is taken, the same each
time. strace is needed; without it these tests are skipped, but never in CI as root, which brings it.
"""

import os
from collections import Counter

import pytest

from tests.chaos.strace_log import STRACE

IS_FULL = os.environ.get("CHAOS") == "full"


@pytest.fixture(autouse=True)
def _needs_strace() -> None:
    if STRACE is None:
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail("strace is not installed; .ci/run brings it")
        pytest.skip("needs strace")


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

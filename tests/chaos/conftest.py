"""How thorough the chaos is, and how much of it there was.

`CHAOS=full` (what `make chaos` sets) takes every point; else a part is taken, the same each time.
strace is needed; without it these tests are skipped, but never in CI.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from zlib import crc32

import pytest

from tests.chaos.injection import Strike
from tests.chaos.place import Place
from tests.chaos.strace_log import why_not_strace
from tests.chaos.templates import make_templates
from tests.chaos.workbench import Bench

IS_FULL = os.environ.get("CHAOS") == "full"
# The points of a sweep are dealt out to PARTS tests, of which all are run if it is full; else of
# SHARE points one is.
SHARE = {"full": 1, "some": 8}.get(os.environ.get("CHAOS", ""), 96)
PARTS = tuple(range({1: 8, 8: 2}.get(SHARE, 1)))

Count = Callable[[str, object], None]


def pick(strikes: Iterable[Strike], part: int) -> list[Strike]:
    """Those of one part: the same however many calls there are of another name."""
    whole = SHARE * len(PARTS)
    return [one for one in strikes if crc32(str(one).encode()) % whole == part]


@pytest.fixture(scope="session")
def strace() -> None:
    """Skip where nothing can be traced, but never in CI."""
    why = why_not_strace()
    if why is not None:
        if os.environ.get("CI"):
            pytest.fail(f"{why}; .ci/run brings it where it is root")
        pytest.skip(why)


@pytest.fixture(scope="module")
def memory_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory on this machine's tmpfs."""
    with tempfile.TemporaryDirectory(prefix="chaos-", dir="/dev/shm") as place:
        yield Path(place)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, memory_folder: Path) -> Bench:
    """A disk, a tmpfs, and what stands there before."""
    folder = tmp_path_factory.mktemp("bench")
    place = Place(folder / "out", memory_folder / "snapshots")
    return Bench(place, make_templates(place, memory_folder), folder / "strace.log")


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

"""How many points the chaos tests try, and a report of them.

`CHAOS=full` (set by `make chaos`) tries every point; else a part is tried, the same each time.
strace is needed; without it these tests are skipped, but fail in CI.
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
# The points of a sweep are divided among PARTS tests. With CHAOS=full all points are tried, else
# one point of SHARE.
SHARE = {"full": 1, "some": 8}.get(os.environ.get("CHAOS", ""), 96)
PARTS = tuple(range({1: 8, 8: 2}.get(SHARE, 1)))

Count = Callable[[str, object], None]


def pick(strikes: Iterable[Strike], part: int) -> list[Strike]:
    """The strikes of one part: the choice for a call does not depend on the other calls' number."""
    whole = SHARE * len(PARTS)
    return [one for one in strikes if crc32(str(one).encode()) % whole == part]


@pytest.fixture(scope="session")
def strace() -> None:
    """Skip if nothing can be traced; fail in CI."""
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
    """A disk, a tmpfs, and the templates of what is there before."""
    folder = tmp_path_factory.mktemp("bench")
    place = Place(folder / "out", memory_folder / "snapshots")
    return Bench(place, make_templates(place, memory_folder), folder / "strace.log")


@pytest.fixture
def fast_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory if possible: thousands of states are written and flushed."""
    is_there = os.access("/dev/shm", os.W_OK)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if is_there else tmp_path) as place:
        yield Path(place)


@pytest.fixture
def is_full() -> bool:
    """Whether every point is tried."""
    return IS_FULL


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many points of each kind were tried."""
    points: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for kind, count in getattr(report, "user_properties", ()):
            if isinstance(count, int):
                points[kind] += count
    for kind, count in sorted(points.items()):
        terminalreporter.write_line(f"chaos: {count} × {kind}")

"""The benchmark of the start-up hook: it measures processes that do have the hook."""

import sys
from pathlib import Path

import pytest

from benchmarks import startup


def test_it_has_the_hook(tmp_path: Path) -> None:
    """One of the two processes has the finder, the other has none; a failure is an error."""
    ask = "import sys; assert (type(sys.meta_path[0]).__name__ == 'LibraryFinder') is {}"
    for has_hook in (True, False):
        code = ask.format(has_hook)
        assert startup.cpu_ms(sys.executable, code, has_hook=has_hook, folder=tmp_path) > 0
        with pytest.raises(ChildProcessError):
            startup.cpu_ms(sys.executable, code, has_hook=not has_hook, folder=tmp_path)


def test_it_measures_calls(tmp_path: Path) -> None:
    """A step takes time, and less than a thousandth of a second."""
    for nanoseconds in startup.calls_ns(sys.executable, tmp_path):
        assert 0 < nanoseconds < 1e6

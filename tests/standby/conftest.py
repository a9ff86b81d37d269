"""Parked interpreters that end with their test, and a small environment for them."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from standin import Parked


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a launch."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def park(tmp_path: Path, environ: dict[str, str]) -> Iterator[Callable[..., Parked]]:
    """Return a function that starts parked interpreters in a directory of their own."""
    started: list[Parked] = []

    def start(argv: list[str], env: dict[str, str] | None = None, **options: Any) -> Parked:
        options.setdefault("cwd", tmp_path)
        options.setdefault("output", tmp_path / "start.log")
        parked = Parked(argv, environ if env is None else env, **options)
        started.append(parked)
        return parked

    yield start
    for parked in started:
        parked.end()

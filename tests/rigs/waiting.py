"""Waits until something is so, and says what was there instead when it never is."""

import time
from collections.abc import Callable
from typing import Any

import pytest


def wait_until(
    claim: Callable[[], Any], timeout_s: float = 30, *, story: Callable[[], object] = str
) -> Any:
    """The first true value of `claim`; the test fails with `story()` after so long."""
    deadline = time.monotonic() + timeout_s
    while not (value := claim()):
        if time.monotonic() > deadline:
            pytest.fail(f"never came true within {timeout_s:.0f} s:\n{story()}")
        time.sleep(0.02)
    return value

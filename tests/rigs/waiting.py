"""Waits until a claim holds, and reports the actual state if it never does."""

import time
from collections.abc import Callable
from typing import Any

import pytest


def wait_until(
    claim: Callable[[], Any], timeout_s: float = 30, *, story: Callable[[], object] = str
) -> Any:
    """The first true value of `claim`; after the timeout the test fails with `story()`."""
    deadline = time.monotonic() + timeout_s
    while not (value := claim()):
        if time.monotonic() > deadline:
            pytest.fail(f"never came true within {timeout_s:.0f} s:\n{story()}")
        time.sleep(0.02)
    return value

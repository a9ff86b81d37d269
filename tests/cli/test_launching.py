"""The line `launch` of `supervisor status`."""

from typing import Any

import pytest

from supervisor.cli.show.launching import launch_text
from supervisor.core.json_form import from_json
from supervisor.core.status import LaunchStatus

WAITING = {"state": "waiting", "preloaded": ["torch", "numpy", "yaml", "a", "b"]}


@pytest.mark.parametrize(
    ("last", "cold_reason", "parked", "text"),
    [
        (None, None, None, ""),
        ("warm", "heavy.py has changed", {}, "warm"),
        (
            "cold",
            "heavy.py has changed",
            {**WAITING, "rss_bytes": 3 << 20},
            "cold (heavy.py has changed); the next interpreter is parked: "
            "torch, numpy, yaml and 2 more, 3.0 MiB",
        ),
        (
            "warm",
            None,
            {"state": "waiting", "preloaded": [], "standby": "cuda"},
            "warm; the next interpreter is parked: with a CUDA context",
        ),
        ("warm", None, {"state": "importing"}, "warm; the next interpreter is being prepared"),
        (
            "cold",
            "sh is not Python",
            {"state": "absent", "reason": "sh is not Python"},
            "cold (sh is not Python)",
        ),
        (
            "warm",
            None,
            {"state": "absent", "reason": "memory: none"},
            "warm; the next start is cold: memory: none",
        ),
    ],
)
def test_how_it_was_and_what_comes(
    last: str | None, cold_reason: str | None, parked: dict[str, Any] | None, text: str
) -> None:
    """The text has the last launch, why it was cold, and what is parked for the next."""
    launch = {"last": last, "cold_reason": cold_reason, "parked": parked}
    assert launch_text(from_json(LaunchStatus, launch)) == text


@pytest.mark.parametrize("launch", [None, "warm", {}, {"last": "warm", "parked": "x"}])
def test_a_status_of_another_version(launch: object) -> None:
    """Values of another version are shown or ignored."""
    assert launch_text(from_json(LaunchStatus, launch)) in ("", "warm")

"""What is said of processes that SIGKILL does not end. It only words what the launcher saw."""

from collections.abc import Sequence
from typing import Any


def describe(processes: Sequence[dict[str, Any]]) -> str:
    """In one line, for the reason: who, and in which function of the kernel."""
    parts = [
        f"pid {p.get('pid')} ({p.get('comm')}, state {p.get('state')}, in {p.get('wchan') or '?'})"
        for p in processes
    ]
    return ", ".join(parts) or "a process of the attempt"


def kernel_stacks(processes: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """For the incident: one text a process, with its frames where they could be read."""
    return tuple(
        "\n".join(
            [
                f"kernel stack of pid {p.get('pid')}, system call {p.get('syscall') or 'unknown'}:",
                *(f"  {frame}" for frame in p.get("stack") or ["  not readable (root only)"]),
            ]
        )
        for p in processes
    )

"""What is said of processes that SIGKILL does not end. It only words what the launcher saw."""

from collections.abc import Sequence

from supervisor.core.events import Unkillable
from supervisor.launcher.messages import StuckProcess, UnkillableReport


def unkillable(report: UnkillableReport) -> Unkillable:
    """The event for processes that survive SIGKILL."""
    return Unkillable(report.attempt, describe(report.pids), kernel_stacks(report.pids))


def describe(processes: Sequence[StuckProcess]) -> str:
    """In one line, for the reason: who, and in which function of the kernel."""
    parts = [f"pid {p.pid} ({p.comm}, state {p.state}, in {p.wchan or '?'})" for p in processes]
    return ", ".join(parts) or "a process of the attempt"


def kernel_stacks(processes: Sequence[StuckProcess]) -> tuple[str, ...]:
    """For the incident: one text a process, with its frames where they could be read."""
    return tuple(
        "\n".join(
            [
                f"kernel stack of pid {p.pid}, system call {p.syscall or 'unknown'}:",
                *(f"  {frame}" for frame in p.stack or ["  not readable (root only)"]),
            ]
        )
        for p in processes
    )

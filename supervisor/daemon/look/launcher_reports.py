"""Makes the core's events from two launcher reports: not started, and not to be killed."""

from collections.abc import Sequence

from supervisor.core.events import StartFailed, Unkillable
from supervisor.launcher.messages import StartFailedReport, StuckProcess, UnkillableReport

# Missing resources pass (fork(2)), file servers come back (EIO, EROFS, ENOTCONN, ESTALE) and quotas
# are raised (EDQUOT). Leftovers (EBUSY) and a launch that was called off (ECANCELED) pass as well.
# Any other errno means a wrong command.
_TRANSIENT_ERRNOS = frozenset({5, 11, 12, 16, 23, 24, 28, 30, 107, 116, 122, 125})


def start_failed(report: StartFailedReport) -> StartFailed:
    """The event for a launch that failed."""
    return StartFailed(report.attempt or 0, report.message, report.errno in _TRANSIENT_ERRNOS)


def unkillable(report: UnkillableReport) -> Unkillable:
    """The event for processes that survive SIGKILL."""
    return Unkillable(report.attempt, describe(report.pids), kernel_stacks(report.pids))


def describe(processes: Sequence[StuckProcess]) -> str:
    """One line for the reason: each process, and the kernel function that it waits in."""
    parts = [f"pid {p.pid} ({p.comm}, state {p.state}, in {p.wchan or '?'})" for p in processes]
    return ", ".join(parts) or "a process of the attempt"


def kernel_stacks(processes: Sequence[StuckProcess]) -> tuple[str, ...]:
    """For the incident: one text for each process, with the frames that could be read."""
    return tuple(
        "\n".join(
            [
                f"kernel stack of pid {p.pid}, system call {p.syscall or 'unknown'}:",
                *(f"  {frame}" for frame in p.stack or ["  not readable (root only)"]),
            ]
        )
        for p in processes
    )

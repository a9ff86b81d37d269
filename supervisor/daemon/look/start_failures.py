"""What the launcher says of a command that it could not start, as the core's event."""

from supervisor.core.events import StartFailed
from supervisor.launcher.messages import StartFailedReport

# Missing resources pass (fork(2)), file servers come back (EIO, EROFS, ENOTCONN, ESTALE) and quotas
# are raised (EDQUOT); so it is with leftovers (EBUSY) and a launch that was called off (ECANCELED).
# Anything else is a wrong command.
_TRANSIENT_ERRNOS = frozenset({5, 11, 12, 16, 23, 24, 28, 30, 107, 116, 122, 125})


def start_failed(report: StartFailedReport) -> StartFailed:
    """The event for a launch that failed."""
    return StartFailed(report.attempt or 0, report.message, report.errno in _TRANSIENT_ERRNOS)

"""What `supervisor status --json` adds to `status.json`: of runs that no daemon watches."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoDaemon:
    """No daemon starts, as the launcher reports it; null if a daemon lives."""

    since: str | None = None
    at: str | None = None
    failures: int | None = None
    why: str | None = None
    next_at: str | None = None


@dataclass(frozen=True, slots=True)
class StillRunning:
    """The processes that train on although their supervisor has died: a list."""

    pid: int
    attempt: int | None = None
    command: str = ""
    step: int | None = None
    heartbeat_age_s: float | None = None

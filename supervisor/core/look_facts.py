"""Facts that looks at an overdue attempt bring, and what the state keeps of them."""

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """What one observation of an attempt says."""

    HEALTHY = "healthy"
    OVERDUE = "overdue"
    """No sign of life within the deadline."""
    SILENT = "silent"
    """The log of a trainer that does not beat has not grown."""
    QUIET = "quiet"
    """No sign of life from a loop that shows nothing else of its training."""
    LINGERING = "lingering"
    """The attempt has said how it ends, and has not ended."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether an attempt is past what it may take; times in seconds."""

    health: Health = Health.HEALTHY
    why: str = ""
    age_s: float = 0.0
    limit_s: float = 0.0


@dataclass(frozen=True, slots=True)
class HungAt:
    """Where attempts were ended as hung, and how many in a row stood there."""

    step: int | None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Looks:
    """How far an attempt that is past its deadline has been looked at; monotonic seconds."""

    overdue: Judgement | None = None
    """As last observed; None while it is within its deadline."""
    asked_at: float | None = None
    """When looks were ordered that are not answered yet."""
    next_at: float | None = None
    """When it is looked at again."""
    was_late: bool = False
    """The last gap between beats was past its deadline too."""
    is_work_told: bool = False
    is_quiet_told: bool = False
    """Stacks were taken, and the user was told, since the last sign of life."""
    is_patience_told: bool = False


@dataclass(frozen=True, slots=True)
class RankSeen:
    """One attached rank, or the program of a command that does not attach, in three looks."""

    name: str
    """`rank 1 (pid 7)`."""
    is_gone: bool = False
    """The process has ended, and had not said how."""
    is_stopped: bool = False
    waits_in: str | None = None
    """The collective that it waits in, in all looks."""
    moved: tuple[str, ...] = ()
    """What changed in it and in the processes it started: `its stack`, `CPU (1.0 cores)`."""
    blocked: str | None = None
    """What it waits for, if that may take any time: a disk, a child, ranks of another machine."""
    is_known: bool = True
    """Its stacks could be read."""
    unread: str | None = None
    """What may move in it, and could not be read."""


@dataclass(frozen=True, slots=True)
class RanksGone:
    """All attached ranks have ended, and the main process, which is no rank, lives."""

    ranks: str
    """`rank 0 (pid 7)`."""
    main: str
    """`sh (pid 5)`."""
    age_s: float
    """Seconds since the ranks were seen to be gone."""
    has_ended_well: bool
    """All ranks had said how they end, or their programs ran to the end."""
    quiet_s: float = 0.0
    """Seconds in which the main process and its children used nothing and started nothing."""

"""The hook `before_launch`, which may refuse a launch: what the core knows and asks of it."""

from dataclasses import dataclass
from enum import StrEnum

from supervisor.core.vocabulary import Action, Failure

# The longest pause after a refusal. Pauses of ten minutes in all come before the first one, at
# which people are told.
LONGEST_WAIT_S = 600.0


class GateStage(StrEnum):
    """How far the hook is with the next launch."""

    CLOSED = "closed"
    ASKED = "asked"
    OPEN = "open"
    """It has let the launch pass, and the checkpoints are read again."""


@dataclass(frozen=True, slots=True)
class LaunchGate:
    """The hook, as the state keeps it."""

    stage: GateStage = GateStage.CLOSED
    waited_s: float = 0.0
    """The last pause after a refusal; 0: it has not refused since the last launch."""
    why: tuple[Failure | None, Action | None, str] | None = None
    """Failure, action and reason as they were before the hook was first asked."""
    missing: str | None = None
    """Why the run waits for a mount, whatever the hook answers. None: it does not."""
    ask_at: float | None = None
    """When the hook is asked again, if that mount does not come before."""


@dataclass(frozen=True, slots=True)
class AskLaunchHook:
    """An effect: run the hook; answer `LaunchHookEnded`."""

    attempt: int
    unmounted: str | None = None
    """The mount point that held the checkpoints, if nothing is mounted on it."""
    from_nothing: bool = False
    """`run --from-nothing`: the attempt resumes from no checkpoint, whatever the hook brings."""


@dataclass(frozen=True, slots=True)
class LaunchHookEnded:
    """An event: the hook has ended."""

    attempt: int
    refused: str | None = None
    """Why the attempt must not be launched now. None: it may be."""

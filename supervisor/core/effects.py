"""What a decision tells the daemon to do. Effects are performed in the order given."""

from dataclasses import dataclass, field

from supervisor.core.entries.entry import Entry
from supervisor.core.launch_gate import AskLaunchHook
from supervisor.core.states import Checkpoint
from supervisor.core.vocabulary import ExitCode, Failure


@dataclass(frozen=True, slots=True)
class SurveyCheckpoints:
    """Read and validate the checkpoint directory; answer `Surveyed` or `SurveyFailed`."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Move aside invalid checkpoints, and those later than `after_step`. Nothing runs then."""

    invalid: tuple[tuple[str, str], ...]
    later: tuple[str, ...]
    after_step: int | None


@dataclass(frozen=True, slots=True)
class Launch:
    """Start attempt `attempt`; answer `Started` or `StartFailed`."""

    attempt: int
    checkpoint: Checkpoint | None
    why_cold: str | None = None
    """Why it must be a new process; None: the parked interpreter may become it."""
    patience_s: float = 0.0
    """How long to wait for a parked interpreter that still imports."""


@dataclass(frozen=True, slots=True)
class Park:
    """Have a spare interpreter for the attempt after this one; answer `ParkedSeen`."""

    attempt: int


@dataclass(frozen=True, slots=True)
class SendStop:
    """SIGTERM to the ranks and the main process, each in its turn, never to the group."""

    attempt: int
    grace_s: float | None = None
    """Seconds left until SIGKILL."""
    is_hang: bool = False
    """The attempt is ended, not asked to save: all processes are told at once."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """SIGTERM once more, to the processes that train on to their own next save."""

    attempt: int


@dataclass(frozen=True, slots=True)
class SendKill:
    """SIGKILL everything of the attempt until nothing is left."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Look:
    """Look three times within `span_s` at all that the attempt's processes do; answer `Looked`."""

    attempt: int
    asked_at: float
    span_s: float


@dataclass(frozen=True, slots=True)
class KeepLeft:
    """Let what the main process left live for `for_s` seconds, unless told again. 0 ends it."""

    attempt: int
    for_s: float


@dataclass(frozen=True, slots=True)
class TakeStacks:
    """Dump the stacks into a new incident's folder; answer `StacksTaken`."""

    attempt: int
    failure: Failure
    what: str
    done: str


@dataclass(frozen=True, slots=True)
class Rescue:
    """Have the newest snapshot in memory put onto the disk; answer `Rescued`."""

    why: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Look whether what the run waits for is there again; answer `Probed`."""

    what: Failure
    place: str | None = None
    """The directory concerned. None: the checkpoint directory."""


@dataclass(frozen=True, slots=True)
class Record:
    """Append to the ledger."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Incident:
    """Keep the evidence of a failure in a folder, and say it."""

    attempt: int
    failure: Failure
    what: str
    evidence: tuple[str, ...]
    done: str


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the person at the terminal."""

    line: str
    is_doubt: bool = False
    """A warning, which `status` shows as well: it may be wrong to go on as decided."""
    parts: tuple[str, ...] = field(default=(), compare=False)
    """The same for a terminal: what to type first, then each clause for a line of its own."""


@dataclass(frozen=True, slots=True)
class Exit:
    """End the supervisor with this code."""

    code: ExitCode


Effect = (
    SurveyCheckpoints
    | SetAside
    | AskLaunchHook
    | Launch
    | Park
    | SendStop
    | Terminate
    | SendKill
    | Look
    | KeepLeft
    | TakeStacks
    | Rescue
    | Probe
    | Record
    | Incident
    | Say
    | Exit
)

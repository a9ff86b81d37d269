"""What the daemon can learn. Times are monotonic seconds, ages are seconds."""

from dataclasses import dataclass

from supervisor.core.ending import Ending
from supervisor.core.job import Job
from supervisor.core.left_behind_events import LeftSeen, MainEnded
from supervisor.core.look_facts import RankSeen, RanksGone
from supervisor.core.rules.warm_launch import Parked
from supervisor.core.snapshot_facts import MemorySnapshot
from supervisor.core.states import Checkpoint
from supervisor.core.vocabulary import ExitCode, Failure, Intent, Phase, RunState, StopSource


@dataclass(frozen=True, slots=True)
class Begun:
    """A daemon began, with what history and the launcher know."""

    intent: Intent
    alive: bool = False
    stop_sent: bool = False
    kill_sent: bool = False
    stop_sent_at: float | None = None
    """When the launcher sent it, where it still knows."""
    kill_sent_at: float | None = None
    stop_by: StopSource | None = None
    """Who asked the attempt to stop, as recorded by the daemon before."""
    stop_since: float | None = None
    """When that was, moved by what was a suspend: the grace counts from here."""
    stop_wall: float | None = None
    """When that was, seconds since 1970."""
    hung: str | None = None
    """Why the daemon before was ending the attempt."""
    hung_as: Failure | None = Failure.HANG
    """The failure that this end is; None where its own words or its log say that."""
    not_resumed: str | None = None
    """Why the daemon before was killing it: it trains from nothing over the run's checkpoints."""
    held: str | None = None
    """Why the run is held on record, and not resumed since."""
    finished: bool = False
    pause: RunState | None = None
    """`backoff` or `waiting`, where the daemon before was in it."""
    wake_at: float | None = None
    """When that pause ends."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The checkpoint directory was read and validated."""

    candidates: tuple[Checkpoint, ...] = ()
    """Valid ones to choose from, newest first."""
    exists: bool = False
    """There is at least one checkpoint of this run, valid or not."""
    invalid: tuple[tuple[str, str], ...] = ()
    """Paths of invalid ones, each with the reason."""
    undecided: tuple[str, ...] = ()
    """Checkpoints of others that the configuration does not say what to do with."""
    taken: str | None = None
    """Another run has the checkpoint directory: which, and what to do."""
    missing: str | None = None
    """Valid checkpoints of this run are on record and not on the disk: which, and since when."""
    unmounted: str | None = None
    """The mount point that held the missing ones, where nothing is mounted on it now."""
    torn_first: str | None = None
    """The only checkpoint there: the run's first save, cut off by the end of its attempt."""
    unseen: str | None = None
    """Where the trainer saves, if not where it is looked for; with the lines to write."""
    clock_ahead_s: float | None = 0.0
    """How far the checkpoints' file system is ahead of the machine's clock; None: not known."""
    deciding: bool = True
    """Made with nothing running, for a decision; otherwise only news."""


@dataclass(frozen=True, slots=True)
class SurveyFailed:
    """The checkpoint directory could not be read."""

    reason: str
    deciding: bool = True
    """As in `Surveyed`."""


@dataclass(frozen=True, slots=True)
class Started:
    """The attempt's main process runs."""

    attempt: int
    is_warm: bool = False
    """It is the interpreter that was parked."""
    why_cold: str | None = None


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The command could not be started."""

    attempt: int
    message: str
    transient: bool
    exit_code: ExitCode = ExitCode.HELD
    """What the supervisor ends with where that is not transient."""


@dataclass(frozen=True, slots=True)
class Exited:
    """Everything of the attempt is gone."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Unkillable:
    """Something of the attempt survives SIGKILL."""

    attempt: int
    what: str
    evidence: tuple[str, ...] = ()
    """Where in the kernel it is."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One look at the running attempt (2 Hz)."""

    attempt: int
    attached: bool = False
    beating: bool = False
    """At least one beat came."""
    phase: Phase = Phase.STARTUP
    beat_age_s: float = 0.0
    """Since the last beat or change of phase of the slowest rank."""
    gap_s: float | None = None
    """Between the last two beats, where a new one came."""
    finished_phases: tuple[tuple[Phase, float], ...] = ()
    """The longest finished eval, save and compile so far."""
    step: int | None = None
    first_step_at: float | None = None
    """When the first step was done, monotonic seconds, as the trainer says."""
    log_age_s: float = 0.0
    ended_age_s: float | None = None
    """Since all ranks had said that they end; None where one has not."""
    stood_still: bool | None = None
    """CPU, GPU and I/O counters did not move; None where that was not measured."""
    is_at_total: bool = False
    """A progress bar that counts as the beats do is full: no further step is expected."""
    gone: RanksGone | None = None
    """All attached ranks have ended, and the main process lives."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What `Look` brought: three looks at all processes of the attempt."""

    attempt: int
    asked_at: float
    """As in the order that this answers."""
    ranks: tuple[RankSeen, ...] = ()
    moved: tuple[str, ...] = ()
    """What moved besides the ranks and what they started: the log, a helper, a GPU."""


@dataclass(frozen=True, slots=True)
class BeginsAnew:
    """An attempt was told to go on from a checkpoint, and its steps begin near nothing."""

    attempt: int
    path: str
    expected: int
    """The step that the same source showed when that checkpoint was written."""
    first: int
    last: int
    is_beat: bool
    writes_over: bool
    """Its next save would take the place of a checkpoint that is there."""


@dataclass(frozen=True, slots=True)
class GoesOn:
    """The steps of an attempt go on from where its checkpoint's were."""

    attempt: int


@dataclass(frozen=True, slots=True)
class StacksTaken:
    """The stacks of the attempt are in the incident folder."""

    attempt: int


@dataclass(frozen=True, slots=True)
class MemorySeen:
    """What the newest snapshot in memory is has changed; None where there is none."""

    memory: MemorySnapshot | None


@dataclass(frozen=True, slots=True)
class ParkedSeen:
    """What the spare interpreter is has changed."""

    parked: Parked
    took_s: float | None = None
    """What its imports took; known once it waits."""
    rss_bytes: int | None = None
    is_loud: bool = False
    """That there is none is worth a line: something can be done about it."""


@dataclass(frozen=True, slots=True)
class Rescued:
    """The persister has answered a `Rescue`, or it could not be asked."""

    is_durable: bool
    """The newest snapshot is on the disk."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody wants the run to save and end, for now (a signal) or until resumed (an intent)."""

    by: StopSource
    wall: float | None = None
    """When that was, seconds since 1970; None where nobody knows when the trainer heard of it."""
    is_anew: bool = False
    """The launcher has died, which carried out the orders: a stop under way is ordered again."""


@dataclass(frozen=True, slots=True)
class IntentChanged:
    """The operator's intent changed."""

    intent: Intent
    wall: float | None = None
    """When that was seen, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What the run waits for was looked at."""

    clear: bool
    what: str


@dataclass(frozen=True, slots=True)
class JobSeen:
    """What the scheduler says of the job has changed, or was asked for anew."""

    job: Job


@dataclass(frozen=True, slots=True)
class Suspended:
    """The daemon did not run for a while (SIGSTOP, suspend): ages seen so far prove nothing."""

    gap_s: float


@dataclass(frozen=True, slots=True)
class Tick:
    """`State.wake_at` has come, or may have."""


Event = (
    Begun
    | Surveyed
    | SurveyFailed
    | Started
    | StartFailed
    | Exited
    | MainEnded
    | LeftSeen
    | Unkillable
    | Observed
    | Looked
    | BeginsAnew
    | GoesOn
    | StacksTaken
    | MemorySeen
    | ParkedSeen
    | Rescued
    | StopAsked
    | IntentChanged
    | Probed
    | JobSeen
    | Suspended
    | Tick
)

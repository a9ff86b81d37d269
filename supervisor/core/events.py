"""Everything that the daemon can learn. Times are monotonic seconds, ages are seconds."""

from dataclasses import dataclass

from supervisor.core.ending import Ending
from supervisor.core.job import Job
from supervisor.core.launch_gate import LaunchHookEnded
from supervisor.core.left_behind_events import LeftSeen, MainEnded
from supervisor.core.look_facts import RankSeen, RanksGone
from supervisor.core.rules.warm_launch import Parked
from supervisor.core.sign_of_life import SignsSeen
from supervisor.core.snapshot_facts import MemorySnapshot
from supervisor.core.states import Checkpoint
from supervisor.core.trainer_description import Described
from supervisor.core.vocabulary import ExitCode, Failure, Intent, Phase, RunState, StopSource


@dataclass(frozen=True, slots=True)
class Begun:
    """A daemon began. The fields are what the history and the launcher know."""

    intent: Intent
    alive: bool = False
    stop_sent: bool = False
    kill_sent: bool = False
    stop_sent_at: float | None = None
    """When the launcher sent the stop; None where it no longer knows."""
    kill_sent_at: float | None = None
    stop_by: StopSource | None = None
    """Who asked the attempt to stop, as recorded by the daemon before."""
    stop_since: float | None = None
    """When the stop was asked for, moved on by each suspend since. The grace counts from here."""
    stop_wall: float | None = None
    """When the stop was asked for, seconds since 1970."""
    hung: str | None = None
    """Why the daemon before was ending the attempt."""
    hung_as: Failure | None = Failure.HANG
    """The failure to record for that end. None: the attempt's own words or its log decide."""
    not_resumed: str | None = None
    """Why the daemon before was killing an attempt that trains over the run's checkpoints."""
    held: str | None = None
    """Why the run is held by the record, with no `supervisor resume` since."""
    finished: bool = False
    pause: RunState | None = None
    """`backoff` or `waiting`, where the daemon before was in that state."""
    wake_at: float | None = None
    """When that pause ends."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The checkpoint directory was read and validated."""

    candidates: tuple[Checkpoint, ...] = ()
    """Valid checkpoints to choose from, newest first."""
    exists: bool = False
    """There is at least one checkpoint of this run, valid or not."""
    invalid: tuple[tuple[str, str], ...] = ()
    """Paths of invalid checkpoints, each with the reason."""
    undecided: tuple[str, ...] = ()
    """Checkpoints that this run did not make and the configuration says nothing about."""
    taken: str | None = None
    """Set where another run owns the checkpoint directory: which run, and what to do."""
    missing: str | None = None
    """Valid checkpoints of this run that are on record and not on the disk, and since when."""
    unmounted: str | None = None
    """The mount point that held this run's checkpoints, if nothing is mounted on it now."""
    torn_first: str | None = None
    """The only checkpoint there: the run's first save, cut off by the end of its attempt."""
    ended: str | None = None
    """A checkpoint that its trainer finished, so that no run can resume from it, and why."""
    how_to_resume: str | None = None
    """How the tool that wrote the newest candidate is told to resume, for the user."""
    unseen: str | None = None
    """Where the trainer saves outside of the checkpoint directory, with the lines to write."""
    clock_ahead_s: float | None = 0.0
    """How far the checkpoints' file system is ahead of the machine's clock; None: not known."""
    deciding: bool = True
    """The survey was made for a decision, with nothing running. Otherwise it is only news."""


@dataclass(frozen=True, slots=True)
class SurveyFailed:
    """The checkpoint directory could not be read."""

    reason: str
    deciding: bool = True


@dataclass(frozen=True, slots=True)
class Started:
    """The attempt's main process runs."""

    attempt: int
    is_warm: bool = False
    """The parked interpreter became it."""
    why_cold: str | None = None


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The command could not be started."""

    attempt: int
    message: str
    transient: bool
    exit_code: ExitCode = ExitCode.HELD
    """The supervisor's exit code where the failure is not transient."""


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
    """Where in the kernel the process is."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One look at the running attempt: twice a second, once while training is calm."""

    attempt: int
    attached: bool = False
    beating: bool = False
    """At least one beat came."""
    phase: Phase = Phase.STARTUP
    beat_age_s: float = 0.0
    """Age of the slowest rank's last beat or change of phase."""
    gap_s: float | None = None
    """Seconds between the last two beats; None where no new beat came."""
    finished_phases: tuple[tuple[Phase, float], ...] = ()
    """The longest finished eval, save and compile so far."""
    step: int | None = None
    first_step_at: float | None = None
    """When the first step was done, monotonic seconds, as the trainer says."""
    log_age_s: float = 0.0
    ended_age_s: float | None = None
    """Seconds since every rank has said that it ends; None where one has not."""
    stood_still: bool | None = None
    """CPU, GPU and I/O counters did not move; None where that was not measured."""
    is_at_total: bool = False
    """A progress bar that counts like the beats is full: no further step is expected."""
    gone: RanksGone | None = None
    """All attached ranks have ended, and the main process lives."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The answer to `Look`: three looks at all processes of the attempt."""

    attempt: int
    asked_at: float
    """`asked_at` of the `Look` that this answers."""
    ranks: tuple[RankSeen, ...] = ()
    moved: tuple[str, ...] = ()
    """What moved apart from the ranks and their child processes: the log, a helper, a GPU."""


@dataclass(frozen=True, slots=True)
class BeginsAnew:
    """An attempt was told to go on from a checkpoint, and its steps begin near the run's first."""

    attempt: int
    path: str
    expected: int
    """The step that the same source showed when that checkpoint was written."""
    first: int
    last: int
    is_beat: bool
    writes_over: bool
    """The attempt's next save would take the place of an existing checkpoint."""


@dataclass(frozen=True, slots=True)
class GoesOn:
    """The steps of an attempt go on from its checkpoint's step."""

    attempt: int


@dataclass(frozen=True, slots=True)
class StacksTaken:
    """The stacks of the attempt are in the incident folder."""

    attempt: int


@dataclass(frozen=True, slots=True)
class MemorySeen:
    """The newest snapshot in memory has changed. `memory` is None where there is none."""

    memory: MemorySnapshot | None


@dataclass(frozen=True, slots=True)
class ParkedSeen:
    """The state of the spare interpreter has changed."""

    parked: Parked
    took_s: float | None = None
    """Seconds that its imports took; known once it waits."""
    rss_bytes: int | None = None
    is_loud: bool = False
    """The lack of a spare interpreter is told: the user can do something about it."""


@dataclass(frozen=True, slots=True)
class Rescued:
    """The persister has answered a `Rescue`, or it could not be asked."""

    is_durable: bool
    """The newest snapshot is on the disk."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StopAsked:
    """A user or scheduler wants the run to save and end, for now (a signal) or until resumed."""

    by: StopSource
    wall: float | None = None
    """When that was, seconds since 1970. None: when the trainer heard of it is unknown."""
    is_anew: bool = False
    """The launcher, which carries out orders, has died: a stop under way is ordered again."""


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
    | LaunchHookEnded
    | Started
    | StartFailed
    | Exited
    | MainEnded
    | LeftSeen
    | Unkillable
    | Observed
    | SignsSeen
    | Described
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

"""What the core knows: the states of a run and the facts that decisions are made from."""

from dataclasses import dataclass, field
from enum import StrEnum

from supervisor.core.ending import Doubt, Ending
from supervisor.core.entries.attempt import Source
from supervisor.core.job import IdleStops, Job
from supervisor.core.look_facts import HungAt, Looks
from supervisor.core.policy import Policy
from supervisor.core.rules.warm_launch import Launched, LaunchTimes, Parked, WarmTrust
from supervisor.core.snapshot_facts import MemorySnapshot, RescueWait
from supervisor.core.vocabulary import Action, Failure, Intent, Phase, RunState, StopSource, Tier


class KillStage(StrEnum):
    """How far a kill has come: stacks first, then SIGTERM, then SIGKILL."""

    STACKS = "stacks"
    TERM = "term"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A validated checkpoint that a launch may resume from."""

    path: str
    step: int | None
    epoch: int | None = None
    kind: str | None = None
    own_run: bool = True
    written: float | None = None
    """When it was written, seconds since 1970; without a step only this tells two apart."""
    tier: Tier = Tier.DISK
    says_who: bool = True
    """It names the run that wrote it; else any trainer that saves here may have."""
    proof: str | None = None
    """How it was proven good: by `hashes`, its `structure`, its `files`; None: not on record."""

    def as_source(self) -> Source:
        """As the ledger tells what an attempt was resumed from."""
        return Source(path=self.path, step=self.step, tier=self.tier, proof=self.proof)


@dataclass(frozen=True, slots=True)
class Budget:
    """What restarts have been spent; it lives in the ledger and survives the daemon."""

    failures: int = 0
    """Failures since the last durable progress."""
    recent: tuple[float, ...] = ()
    """Monotonic seconds of the failures of the last day (may lie before this boot: negative)."""
    signature: tuple[str, str | None, int | None] | None = None
    repeats: int = 0
    """How often in a row the same death came without durable progress."""
    progress_step: int | None = None
    """The highest validated step that this run has reached."""
    progress_written: float | None = None
    """When the newest checkpoint without a step was written, as far as it was progress."""
    progressed: bool = False
    """Whether durable progress was made since the last failure."""
    idle_stops: IdleStops = field(default_factory=IdleStops)
    """Jobs that the scheduler ended, in a row, in which there was no durable progress."""
    outages: int = 0
    """Deaths that said nothing about the checkpoint, since the last durable progress."""
    full_deaths: int = 0
    """Deaths for want of room on a disk, since the last durable progress."""
    died_in_training: tuple[tuple[str, str | None], ...] = ()
    """Exception and frame of the last different deaths of attempts that had made steps."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop that was asked for; whatever the trainer does now, it is not a failure."""

    by: StopSource
    since: float
    interrupts: int = 0
    progress_before: int | None = None
    written_before: float | None = None
    late: bool = False
    """The attempt had ended by itself when the stop came: its end is judged as it was."""
    until: float = 0.0
    """When the grace ends."""
    rescued: bool = False
    """What is in memory was ordered onto the disk before the grace ends."""
    limit: float | None = None
    """When the scheduler kills everything, whatever the grace."""
    is_unsaveable: bool = False
    """A save would not fit what is left: it is not begun, the attempt ends without one."""
    besides: StopSource | None = None
    """A signal that asks for the same as the intent: who takes back the one leaves the other."""
    wall: float | None = None
    """When that was, seconds since 1970: files tell by it what is newer; None: not known."""


@dataclass(frozen=True, slots=True)
class Kill:
    """An end that we bring about ourselves."""

    stage: KillStage
    failure: Failure | None
    reason: str
    action: Action = Action.RESTART


@dataclass(frozen=True, slots=True)
class Left:
    """What a main process that exited with 0 has left, and whether it trains. Monotonic seconds."""

    since: float
    sign_at: float
    """When it last gave a sign of training, or was first looked at."""
    kept_at: float
    """When the launcher was last told to let it live."""
    trains: bool = False
    longest_gap_s: float = 0.0
    """The longest time between two signs."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What earlier steps and phases took, the longest of each, in seconds."""

    longest: tuple[tuple[Phase, float], ...] = ()

    def get(self, phase: Phase) -> float | None:
        """The longest time seen, or None where none was."""
        return dict(self.longest).get(phase)

    def with_seen(self, phase: Phase, seconds: float) -> "Learned":
        """The same with one more observation."""
        known = dict(self.longest)
        if seconds <= known.get(phase, 0.0):
            return self
        known[phase] = seconds
        return Learned(tuple(sorted(known.items())))


@dataclass(frozen=True, slots=True)
class Activity:
    """What the running attempt was last seen doing."""

    phase: Phase = Phase.STARTUP
    step: int | None = None
    first_step_seen: bool = False
    attached: bool = False
    silence_reported: bool = False
    excused_since: float | None = None
    """Ages count from here at most: the machine or this daemon itself was suspended until then."""
    started_at: float = 0.0
    unknown_s: float = 0.0
    """What of its time is booked as unknown: no step of it was seen yet."""
    looks: Looks = field(default_factory=Looks)
    is_desertion_told: bool = False
    """It was said that its ranks have ended and its main process has not."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where the time went, in seconds; productive time is `training` alone."""

    launching_s: float = 0.0
    training_s: float = 0.0
    saving_s: float = 0.0
    replaying_s: float = 0.0
    waiting_s: float = 0.0
    down_s: float = 0.0
    unknown_s: float = 0.0
    """Nobody counted, or nobody knows whether it trained: no steps were seen."""


@dataclass(frozen=True, slots=True)
class State:
    """Everything a decision may depend on."""

    policy: Policy
    run: RunState = RunState.LAUNCHING
    intent: Intent = Intent.RUN
    attempt: int = 0
    alive: bool = False
    """A launch was ordered and the end of its attempt was not reported yet."""
    surveying: bool = False
    stop: Stop | None = None
    kill: Kill | None = None
    ending: Ending | None = None
    budget: Budget = field(default_factory=Budget)
    learned: Learned = field(default_factory=Learned)
    activity: Activity = field(default_factory=Activity)
    account: Account = field(default_factory=Account)
    checkpoint: Checkpoint | None = None
    """What the current or last attempt was resumed from."""
    newest: Checkpoint | None = None
    """The newest validated checkpoint on the disk, as last surveyed."""
    memory: MemorySnapshot | None = None
    rescue: RescueWait | None = None
    parked: Parked | None = None
    """The spare interpreter; None as long as this attempt has not ordered one."""
    times: LaunchTimes = field(default_factory=LaunchTimes)
    launched: Launched | None = None
    warm: WarmTrust = WarmTrust.TRUSTED
    ever_attached: bool = False
    reopened: bool = False
    """`run --again`: the final checkpoint of before does not end the run."""
    begin_again: bool = False
    """`run --from-nothing`: missing checkpoints do not keep the next launch."""
    rollback: bool = False
    """The next launch resumes one checkpoint further back than the newest."""
    back_to: int | None = None
    """The step that a daemon before was going back to: what is later is not resumed from."""
    reached_step: int | None = None
    """The highest step that any attempt was seen at: steps up to here are replayed, not new."""
    reached_before: int | None = None
    """The same, before the attempt that runs now."""
    progress_before: tuple[int | None, float | None] = (None, None)
    """The budget's durable progress (step, time) as the attempt began."""
    full_place: str | None = None
    """The directory in which room is waited for; None: that of the checkpoints."""
    full_looks: int = 0
    """How many looks have found no room since the wait began."""
    resumed_step: int | None = None
    """The highest step that any attempt was resumed from."""
    left: Left | None = None
    """What the attempt's main process has left behind; None as long as that lives."""
    doubt: Doubt | None = None
    """Why the last attempt's exit with 0 was not taken for the end of training."""
    begun_at: int | None = None
    """The step that the current attempt was resumed from, 0 from nothing; None: nobody knows."""
    hung_at: HungAt | None = None
    end_unseen: bool = False
    """The last attempt's end is on no record: it may have come further than it was seen."""
    resume_doubt: str | None = None
    """Why an attempt may have begun anew though it was told to go on; nothing is pruned then."""
    resume_is_trusted: bool = False
    """`supervisor resume` said that the trainer does resume: the steps prove nothing against it."""
    job: Job | None = None
    """The scheduler's job that the run is in; None outside of one."""
    wake_at: float | None = None
    """When `Tick` has something to do."""
    at: float = 0.0
    failure: Failure | None = None
    action: Action | None = None
    reason: str = ""

"""What the core knows: the states of a run and the facts that decisions are made from."""

from dataclasses import dataclass, field
from enum import StrEnum

from supervisor.core.ending import Advice, Doubt, Ending
from supervisor.core.entries.attempt import Source
from supervisor.core.job import IdleStops, Job
from supervisor.core.launch_gate import LaunchGate
from supervisor.core.learned import Learned
from supervisor.core.look_facts import HungAt, Looks
from supervisor.core.policy import Policy
from supervisor.core.rules.warm_launch import Launched, LaunchTimes, Parked, WarmTrust
from supervisor.core.sign_of_life import OwnSave, SignsSeen
from supervisor.core.snapshot_facts import MemorySnapshot, RescueWait
from supervisor.core.trainer_description import TrainerDescription, TrainingIdentity
from supervisor.core.vocabulary import Action, Failure, Intent, Phase, RunState, StopSource, Tier

# What the end of a loop takes that was awaited in vain, and that SIGTERM then ends.
END_S = 3.0


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
    """When it was written, seconds since 1970. Without a step, only this tells two apart."""
    tier: Tier = Tier.DISK
    says_who: bool = True
    """It names the run that wrote it. Otherwise any trainer that saves here may have written it."""
    proof: str | None = None
    """How it was proven good: `hashes`, `structure` or `files`. None: not on record."""
    place: str | None = None
    """The directory that the trainer named, if it is there. None: where the run always looks."""

    def as_source(self) -> Source:
        """The checkpoint as an attempt's ledger entry names it."""
        return Source(path=self.path, step=self.step, tier=self.tier, proof=self.proof)


@dataclass(frozen=True, slots=True)
class Budget:
    """What restarts have been spent. The ledger keeps it, so that it survives the daemon."""

    failures: int = 0
    """Failures since the last durable progress."""
    recent: tuple[float, ...] = ()
    """When failures of the last day came, monotonic seconds; negative: before this boot."""
    signature: tuple[str, str | None, int | None] | None = None
    repeats: int = 0
    """How often in a row the same death came without durable progress."""
    progress_step: int | None = None
    """The highest validated step that this run has reached."""
    progress_written: float | None = None
    """When the newest checkpoint without a step was written, if it counted as progress."""
    progress_places: tuple[tuple[str, int], ...] = ()
    """The highest validated step in each directory that the trainer named: stages count anew."""
    progressed: bool = False
    """Whether durable progress was made since the last failure."""
    idle_stops: IdleStops = field(default_factory=IdleStops)
    """Jobs in a row that the scheduler ended without durable progress."""
    outages: int = 0
    """Deaths that said nothing about the checkpoint, since the last durable progress."""
    full_deaths: int = 0
    """Deaths for want of room on a disk, since the last durable progress."""
    free_restarts: int = 0
    """Ends that `restart.exit_codes` says are free, since the last durable progress.

    The pause grows with them. No hold counts them."""
    died_in_training: tuple[tuple[str, str | None], ...] = ()
    """Exception and frame of the last few distinct deaths of attempts that had made steps."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop that was asked for. Nothing that the trainer does from now on is a failure."""

    by: StopSource
    since: float
    interrupts: int = 0
    progress_before: int | None = None
    written_before: float | None = None
    late: bool = False
    """The attempt had ended before the stop came: its exit with 0 is no answer to the stop."""
    until: float = 0.0
    """When the grace ends."""
    rescued: bool = False
    """Persisting the newest snapshot in memory was ordered, before the grace ends."""
    limit: float | None = None
    """When the scheduler kills everything, even within the grace."""
    is_unsaveable: bool = False
    """A save would take longer than the time left: the attempt is ended without one."""
    besides: StopSource | None = None
    """A signal that asked for this stop as well. It stays in force if the intent is taken back."""
    wall: float | None = None
    """When the stop was asked for, seconds since 1970: file times compare to it. None: unknown."""
    own_save: OwnSave | None = None
    """What became of the trainer's own next save, if it trains on to that. None: it does not."""

    @property
    def gives_up_at(self) -> float:
        """Until when an own save is awaited: the end itself takes a part of the grace."""
        return self.until - min(END_S, (self.until - self.since) / 10)


@dataclass(frozen=True, slots=True)
class Kill:
    """An end that the daemon brings about itself."""

    stage: KillStage
    failure: Failure | None
    reason: str
    action: Action = Action.RESTART


@dataclass(frozen=True, slots=True)
class Left:
    """What a main process left at exit 0, and whether that trains. Times are monotonic seconds."""

    since: float
    sign_at: float
    """When they last gave a sign of training, or were first looked at."""
    kept_at: float
    """When the launcher was last told to let them live."""
    trains: bool = False
    longest_gap_s: float = 0.0
    """The longest time between two signs."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What the running attempt was last seen doing."""

    phase: Phase = Phase.STARTUP
    step: int | None = None
    first_step_seen: bool = False
    attached: bool = False
    silence_reported: bool = False
    excused_since: float | None = None
    """Ages count from here at most: the machine or this daemon was suspended until then."""
    started_at: float = 0.0
    unknown_s: float = 0.0
    """Seconds of this attempt that are booked as unknown: no step of it was seen yet."""
    looks: Looks = field(default_factory=Looks)
    signs: SignsSeen | None = None
    """The signs of life as last read; None where no living process gives any."""
    is_desertion_told: bool = False
    """The user was told that all ranks have ended and the main process lives."""


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
    """No daemon counted, or no steps were seen, so that training is not proven."""


@dataclass(frozen=True, slots=True)
class State:
    """Everything a decision may depend on."""

    policy: Policy
    run: RunState = RunState.LAUNCHING
    intent: Intent = Intent.RUN
    attempt: int = 0
    alive: bool = False
    """A launch was ordered, and the end of its attempt is not reported yet."""
    surveying: bool = False
    stop: Stop | None = None
    kill: Kill | None = None
    ending: Ending | None = None
    budget: Budget = field(default_factory=Budget)
    learned: Learned = field(default_factory=Learned)
    activity: Activity = field(default_factory=Activity)
    account: Account = field(default_factory=Account)
    checkpoint: Checkpoint | None = None
    """The checkpoint that the current or last attempt was resumed from."""
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
    """`run --again`: the final checkpoint of an earlier end does not end the run."""
    begin_again: bool = False
    """`run --from-nothing`: missing checkpoints do not prevent the next launch."""
    rollback: bool = False
    """The next launch resumes one checkpoint further back than the newest."""
    back_to: int | None = None
    """The step that an earlier daemon was going back to. No later checkpoint is resumed from."""
    reached_step: int | None = None
    """The highest step that any attempt was seen at: steps up to here are replayed, not new."""
    reached_trainings: tuple[tuple[TrainingIdentity, int], ...] = ()
    """The same for each training that an attempt ended in: each stage counts from 1."""
    reached_before: int | None = None
    """`reached_step` before the attempt that runs now."""
    progress_before: tuple[int | None, float | None] = (None, None)
    """The budget's durable progress (step, time) as the attempt began."""
    full_place: str | None = None
    """The directory that the run waits for room in. None: the checkpoint directory."""
    full_looks: int = 0
    """How many looks have found no room since the wait began."""
    resumed_step: int | None = None
    """The highest step that any attempt was resumed from."""
    left: Left | None = None
    """The processes that the main process left behind. None while the main process lives."""
    doubt: Doubt | None = None
    """Why the last attempt's exit with 0 was not taken for the end of training."""
    begun_at: int | None = None
    """The step that the current attempt was resumed from; 0: from nothing. None: unknown."""
    description: TrainerDescription | None = None
    """What the current or last attempt's trainer says of itself."""
    training_places: tuple[tuple[TrainingIdentity, str], ...] = ()
    """Where each training of this attempt saves, the newest last: a nested one ends, and the outer
    one goes on."""
    named_place: str | None = None
    """The directory that the trainer named last, as it named it."""
    described_entries: int = 0
    """How many entries on its description this attempt has in the ledger."""
    trainer_told: tuple[str, ...] = ()
    """The trainer's sentences of this attempt that were told."""
    elsewhere: str | None = None
    """The trainer saves into another directory than the configured one."""
    told_elsewhere: tuple[str, ...] = ()
    hung_at: HungAt | None = None
    end_unseen: bool = False
    """The last attempt's end is on no record: it may have come further than any step seen."""
    resume_doubt: str | None = None
    """Why an attempt told to go on may have begun anew. No checkpoint is pruned meanwhile."""
    resume_is_trusted: bool = False
    """The user said by `supervisor resume` that the trainer does resume, whatever steps show."""
    gate: LaunchGate = field(default_factory=LaunchGate)
    job: Job | None = None
    """The scheduler's job that the run is in; None outside of one."""
    wake_at: float | None = None
    """When `Tick` has something to do."""
    at: float = 0.0
    failure: Failure | None = None
    action: Action | None = None
    reason: str = ""
    advice: Advice | None = None
    """What a person can do about the failure of the last attempt."""

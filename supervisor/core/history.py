"""The history of a run, summed up from its ledger: budgets and verdicts survive the daemon."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.core.ending import Doubt
from supervisor.core.entries.saves import SaveIntervalEntry
from supervisor.core.entries.trainer import DescribedEntry
from supervisor.core.last_good import LastGood
from supervisor.core.last_training import LastTraining
from supervisor.core.learned import Learned
from supervisor.core.look_facts import HungAt
from supervisor.core.measured_recovery import Recoveries
from supervisor.core.point_in_time import Moment
from supervisor.core.rules.step_counters import CountersBySource
from supervisor.core.rules.warm_launch import Launched, LaunchTimes, WarmTrust
from supervisor.core.states import Account, Budget, Checkpoint
from supervisor.core.trainer_description import TrainingIdentity
from supervisor.core.vocabulary import Action, Failure, RunState, StopSource


@dataclass(frozen=True, slots=True)
class Pause:
    """A backoff, or a wait for what clears by itself, as it was decided."""

    state: RunState
    since: Moment
    wait_s: float
    failure: Failure | None
    action: Action | None
    reason: str
    place: str | None = None


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """A checkpoint directory that a trainer named; a relative path is below the run directory."""

    path: str
    attempt: int
    """The last attempt that named it."""


@dataclass(frozen=True, slots=True)
class History:
    """The ledger's sum; wall times in seconds since 1970."""

    run_id: str | None = None
    name: str | None = None
    attempt: int = 0
    first_attempt_wall: float | None = None
    budget: Budget = field(default_factory=Budget)
    """`recent` is empty, since it counts seconds of one boot: `failed_at` outlives a reboot."""
    failed_at: tuple[Moment, ...] = ()
    """When each failure that was charged to the budget was seen."""
    progress_before: tuple[int | None, float | None] = (None, None)
    """Durable progress (step, time) as the last attempt began."""
    source: Checkpoint | None = None
    """The checkpoint that the last attempt was resumed from. None: it began from nothing."""
    ever_attached: bool = False
    reached_step: int | None = None
    reached_trainings: tuple[tuple[TrainingIdentity, int], ...] = ()
    """The highest step of each training that an attempt ended in."""
    resumed_step: int | None = None
    rollback: bool = False
    back_to: int | None = None
    """The step that the run is going back to, until an attempt has started from it."""
    begin_again: bool = False
    """`run --from-nothing` was said, until an attempt has started."""
    existing: str | None = None
    """What `run --existing` decided: `use` or `ignore`."""
    begun_wall: float | None = None
    """When the last attempt that began from nothing started."""
    attempt_wall: float | None = None
    """When the last attempt started."""
    ended_wall: float | None = None
    """When the last attempt was seen to have ended; None where its end is not on record."""
    ended_killed: bool = True
    """The last attempt was cut off; also where its end is not on record."""
    ended_step: int | None = None
    """The highest step that the last attempt was seen at, once its end is on record."""
    left_training: int | None = None
    """The attempt whose main process has ended and left a process that trains on."""
    doubt: Doubt | None = None
    """Why the last attempt's exit with 0 was not taken for the end of training."""
    unseen: str | None = None
    """Where the trainer was seen to save outside of the checkpoint directory."""
    reopened: bool = False
    held: str | None = None
    held_for: Failure | None = None
    """The failure that the run is held for."""
    finished: bool = False
    last_intent_id: str | None = None
    learned: Learned = field(default_factory=Learned)
    account: Account = field(default_factory=Account)
    boot: str | None = None
    """The machine's boot in which the last daemon began."""
    accounted: Moment | None = None
    """Up to when `account` counts. No daemon counted the time after that."""
    ended_state: str | None = None
    """How the last supervisor ended; None while one runs, or where it was killed."""
    restarts: int = 0
    log_offset: int | None = None
    """Where the last attempt's lines begin in train.log."""
    log_inode: int | None = None
    """The inode of that train.log: rotation may have renamed the file."""
    last_attempt_open: bool = False
    """The last attempt's end is not on record."""
    end_told: bool = False
    """It is on record that the last attempt ended while no daemon watched."""
    failure: Failure | None = None
    action: Action | None = None
    reason: str = ""
    supervisor_wall: float | None = None
    """When the last supervisor began."""
    first_step_seen: bool = False
    """The last attempt's first step is on record."""
    last_save_s: float | None = None
    save_interval_s: float | None = None
    """The longest of the last times between two complete saves. None: not known."""
    stop_by: StopSource | None = None
    """Who asked the last attempt to stop; None where nobody did, or its end is on record."""
    stop_at: Moment | None = None
    stop_wall: float | None = None
    """When that stop was asked for, seconds since 1970, to compare with file times."""
    stop_excused_s: float = 0.0
    """How long everything stood still (a suspend) since that stop was asked for."""
    pause: Pause | None = None
    """What the last supervisor was waiting for. None: it was not waiting."""
    stop_late: bool = False
    """That stop came after the attempt had ended by itself."""
    asked_by: StopSource | None = None
    """The signal that asked this supervisor to end. Only the next supervisor may launch again."""
    hung: str | None = None
    """Why the daemon was ending the last attempt."""
    hung_as: Failure | None = Failure.HANG
    """The failure to record for that end. None: the attempt's own words or its log decide."""
    hung_at: HungAt | None = None
    begun_at: int | None = None
    """The step that the last attempt was resumed from; 0: from nothing. None: unknown."""
    ranks_gone: bool = False
    """All ranks of the last attempt were seen to have ended before its main process."""
    not_resumed: str | None = None
    """Why the last attempt was being killed for training anew over the run's checkpoints."""
    resume_doubt: str | None = None
    """Why an attempt may not have resumed; nothing is pruned until that is known."""
    resume_is_trusted: bool = False
    """The user said `supervisor resume` after the run was held for an ignored resume."""
    resumed_from: str | None = None
    """The checkpoint on the disk that the last attempt was told to go on from."""
    described: DescribedEntry | None = None
    """What the last attempt's trainer said of itself last. None: nothing."""
    described_entries: int = 0
    places: tuple[NamedPlace, ...] = ()
    """The directories that trainers of this run named, the last named first."""
    training_places: tuple[tuple[TrainingIdentity, str], ...] = ()
    """Where each training of the last attempt saves."""
    bests: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The checkpoint that a trainer called its best last, by the directory that it is in."""
    trainer_told: tuple[str, ...] = ()
    """The trainer's sentences of the last attempt that are on record."""
    told_elsewhere: tuple[str, ...] = ()
    """What was told of trainers that save into another directory than the configured one."""
    recovery: tuple[str, ...] = ()
    """What was told last of what a kill would cost."""
    recovery_keys: tuple[str, ...] = ()
    """What those sentences depended on, each time that they were told."""
    interval_told: tuple[float, float] | None = None
    """The time between saves that was told to be far from the best, and the best."""
    interval_hint: str | None = None
    """The sentence that told it last."""
    interval_hints: int = 0
    deaths: int = 0
    """Attempts that died of a failure, with nobody asking them to stop."""
    recoveries: Recoveries = field(default_factory=Recoveries)
    last_training: LastTraining = field(default_factory=LastTraining)
    chosen: SaveIntervalEntry | None = None
    """What the trainer chose last for the time between its saves, in `interval: auto`."""
    counters: CountersBySource = field(default_factory=dict, hash=False)
    """What each source of steps has shown."""
    failed_save_at: float = 0.0
    """When the last failed save on record failed."""
    times: LaunchTimes = field(default_factory=LaunchTimes)
    launched: Launched | None = None
    warm: WarmTrust = WarmTrust.TRUSTED
    rss_bytes: int | None = None
    """The memory that the last parked interpreter took."""
    last_good: LastGood = field(default_factory=LastGood)

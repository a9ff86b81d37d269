"""What `status.json` says: one type from which the file, `status` and the live view are made.

The daemon writes it, all others read it. The tables in docs/run-directory.md are made from here:
the sentence below a field is its row.
"""

from dataclasses import dataclass

from supervisor.core.changed_status import ChangedStatus
from supervisor.core.described_status import DescribedStatus
from supervisor.core.metered_status import AtRiskStatus, GpuStatus
from supervisor.core.notify_status import NotifyStatus
from supervisor.core.printed_status import PrintedStatus
from supervisor.core.save_interval_status import SaveIntervalStatus
from supervisor.core.sign_of_life_status import SignOfLifeStatus
from supervisor.core.vocabulary import Action, Failure, Intent, RunState, StopSource


@dataclass(frozen=True, slots=True)
class Pids:
    """The processes of a run."""

    launcher: int | None = None
    daemon: int | None = None
    trainer: int | None = None


@dataclass(frozen=True, slots=True)
class AdviceStatus:
    """What a person can do: one sentence, and at most one command to type."""

    sentence: str
    command: str | None = None


@dataclass(frozen=True, slots=True)
class CheckpointStatus:
    """A checkpoint."""

    path: str
    step: int | None = None
    kind: str | None = None
    age_s: float | None = None
    """Since it was written."""


@dataclass(frozen=True, slots=True)
class SnapshotStatus:
    """What the memory tier holds."""

    step: int | None = None
    age_s: float | None = None
    bytes: int | None = None
    slots: int | None = None
    """How many hold a whole snapshot."""
    tmpfs_bytes: int | None = None
    """What the whole snapshot directory takes: both slots, and what lies beside them."""


@dataclass(frozen=True, slots=True)
class PersisterStatus:
    """What the persister does."""

    state: str
    """`idle`, `persisting`, `vetting`, `absent`."""
    step: int | None = None
    """Of the snapshot that is on its way to the disk."""
    done: float | None = None
    """How much of it is on the disk, 0 to 1."""
    bytes_per_s: float | None = None
    last_error: str | None = None
    """Why the last snapshot did not get to the disk; null if it did."""
    pending: int | None = None
    """The step of the snapshot that waits for its turn."""


@dataclass(frozen=True, slots=True)
class ParkedStatus:
    """The spare interpreter."""

    state: str = "absent"
    """`absent`, `importing`, `waiting`."""
    pid: int | None = None
    rss_bytes: int | None = None
    preloaded: tuple[str, ...] | None = None
    """Packages."""
    modules: int | None = None
    """How many."""
    left_out: tuple[tuple[str, str], ...] | None = None
    """Names that it did not import, each with the reason."""
    seconds: float | None = None
    """How long its imports took."""
    standby: str | None = None
    reason: str | None = None
    """Why none is parked."""


@dataclass(frozen=True, slots=True)
class LaunchStatus:
    """The launches of a run."""

    mode: str | None = None
    last: str | None = None
    """`warm` or `cold`."""
    cold_reason: str | None = None
    """Why the last cold launch was cold."""
    parked: ParkedStatus = ParkedStatus()
    """The spare interpreter."""


@dataclass(frozen=True, slots=True)
class SlurmStatus:
    """A SLURM job."""

    job: str | None = None
    """As `scontrol requeue` takes it."""
    job_id: str | None = None
    array_task: str | None = None
    partition: str | None = None
    restart_count: int | None = None
    ends_at: str | None = None
    time_left_s: float | None = None
    end: str | None = None
    """Why it ends soon: `preempted`, `time_limit`, `cancelled`, `requeued`."""
    requeue: str | None = None
    """Whether the job would be requeued at its end, and if not, why."""


@dataclass(frozen=True, slots=True)
class StoppingStatus:
    """A stop that was asked for."""

    by: StopSource | None = None
    since: str | None = None
    grace_s: float | None = None
    waits_for: str | None = None
    """`own save`: the trainer trains on to its own next save, and is ended after that."""


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """How many restarts have been spent, and how many are allowed."""

    failures: int | None = None
    max_failures: int | None = None
    today: int | None = None
    max_per_day: int | None = None
    free_restarts: int | None = None
    """Ends that `restart.exit_codes` called free, since durable progress."""


@dataclass(frozen=True, slots=True)
class GoodputStatus:
    """Where the time went."""

    goodput: float | None = None
    """From 0 to 1; null where no steps were seen."""
    launching_s: float | None = None
    training_s: float | None = None
    saving_s: float | None = None
    replaying_s: float | None = None
    waiting_s: float | None = None
    down_s: float | None = None
    unknown_s: float | None = None
    """While no steps were seen, or no daemon lived to count; `goodput` leaves it out."""
    total_s: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """How a run is now. What is absent is None; durations in seconds, times RFC 3339 in UTC."""

    run: str | None = None
    """The run's name."""
    run_id: str | None = None
    """Which run it is, whatever its name; a copy of a run directory has the same."""
    name: str | None = None
    """The same as `run`."""
    state: RunState | str | None = None
    """One of [states.md](states.md); in `supervisor status --json` also `down`."""
    attempt: int | None = None
    """Number of the current or last attempt."""
    restarts: int | None = None
    """Attempts after the first."""
    restarts_by_failure: tuple[tuple[str, int], ...] = ()
    """How often a restart followed which failure; `none`: the attempt before it was stopped."""
    incidents: int | None = None
    """How often evidence was kept."""
    pids: Pids = Pids()
    """Process ids."""
    phase: str | None = None
    """What the running attempt does, only if it attached."""
    step: int | None = None
    """Of the running attempt; without one, where the last attempt ended."""
    epoch: int | None = None
    """Of the running attempt."""
    loss: float | None = None
    """Of the running attempt."""
    grad_norm: float | None = None
    """The gradient's norm, of the running attempt."""
    step_rate: float | None = None
    """Steps a second over the last 30 s."""
    total: int | None = None
    """How many steps the training makes: as the trainer says, `finish.step`, the group `total` of
    `watch.progress`, or the total of a bar that shows the same step."""
    eta_s: float | None = None
    """How long they take at the pace of the last five minutes."""
    printed: PrintedStatus | None = None
    """What the usual progress bars in the log show. It is only shown: nothing is decided by it."""
    heartbeat_age_s: float | None = None
    """How long ago the quietest rank gave its last sign of life."""
    log_age_s: float | None = None
    """Since `train.log` grew."""
    overdue: bool = False
    """Whether the running attempt has given no sign of life past its deadline, and is looked at."""
    attached: bool | None = None
    """Whether the running attempt sends heartbeats."""
    sign_of_life: SignOfLifeStatus | None = None
    """The [signs of life](trainers.md#any-other-loop) of a loop without adapter; null elsewhere."""
    world_size: int | None = None
    """Of the running attempt, only if it attached."""
    adapter: str | None = None
    """The trainer's library, if an adapter or the trainer named it: `huggingface 5.24`. `none` with
    the reason in brackets, where an adapter is known to be off. Null: not known."""
    described: DescribedStatus | None = None
    """What the trainer of the current or last attempt says of itself; null: nothing."""
    recovery: tuple[str, ...] = ()
    """What a kill would cost, and how a stop goes, as told last: sentences."""
    checkpoint: CheckpointStatus | None = None
    """The newest valid one known."""
    at_risk: AtRiskStatus | None = None
    """What would be lost if the running attempt were killed now."""
    snapshot: SnapshotStatus | None = None
    """The newest in memory; null without one."""
    persister: PersisterStatus | None = None
    """What the persister does; null before the first persister."""
    launch: LaunchStatus | None = None
    """How the last attempt was launched, and the spare interpreter for the next."""
    slurm: SlurmStatus | None = None
    """The job that the run is in; null elsewhere."""
    failure: Failure | None = None
    """Of the last attempt that ended ([names](restart-policy.md#failure-names-and-actions))."""
    action: Action | None = None
    """Of the last attempt that ended ([names](restart-policy.md#failure-names-and-actions))."""
    notify: NotifyStatus | None = None
    """Messages and pings; null where nobody is to be told."""
    changed: ChangedStatus | None = None
    """What is different from [the last good attempt](restart-policy.md#what-is-different), if the
    last attempt that ended died of a failure; null where nothing is."""
    reason: str | None = None
    """The sentence that goes with `state`."""
    advice: AdviceStatus | None = None
    """What a person can do about `failure`."""
    next_at: str | None = None
    """When a pause ends."""
    intent: Intent = Intent.RUN
    """`run`, `stop`, `hold`, as the daemon last read it."""
    stopping: StoppingStatus | None = None
    """The stop that was asked for; null without one."""
    interrupts: int = 0
    """How often Ctrl-C was pressed."""
    budget: BudgetStatus | None = None
    """What is spent of the budgets for restarts."""
    goodput: GoodputStatus | None = None
    """Where the time went."""
    launcher_frozen: bool = False
    """Whether a signal has stopped the launcher, so that it does nothing that it is told."""
    last_save_s: float | None = None
    """How long the last save took."""
    save_interval: SaveIntervalStatus | None = None
    """How often to save; null until the cost of a save is known."""
    gpus: tuple[GpuStatus, ...] = ()
    """The GPUs of the running attempt; asked for only where `metrics` are configured."""
    grace_s: float | None = None
    """How long a stop may take."""
    warnings: tuple[str, ...] = ()
    """Sentences, such as: heartbeats are on a disk; the trainer saves where the supervisor does not
    look; checkpoints are missing, are another run's, or hold no optimizer state; keys that another
    version wrote into the configuration are ignored."""
    host: str | None = None
    """The machine."""
    config: str | None = None
    """The configuration's path."""
    run_dir: str | None = None
    """The run directory's path."""
    started_at: str | None = None
    """Of the supervisor; a new daemon does not change it."""
    updated_at: str | None = None
    """When it was written."""

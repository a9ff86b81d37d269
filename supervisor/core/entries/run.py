"""Entries of a run, its supervisors and daemons, and of the scheduler's job that it is in."""

from dataclasses import dataclass

from supervisor.core.entries.entry import Entry
from supervisor.core.vocabulary import Failure, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCreatedEntry(Entry, kind="run_created"):
    """The first entry of a run."""

    run_id: str | None = None
    name: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorStartedEntry(Entry, kind="supervisor_started"):
    """A launcher took the run; its first daemon writes this."""

    pid: int | None = None
    """The launcher's."""
    host: str | None = None
    boot_id: str | None = None
    config_path: str | None = None
    command: tuple[str, ...] = ()
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStartedEntry(Entry, kind="daemon_started"):
    """A daemon began."""

    pid: int | None = None
    adopted_attempt: int | None = None
    """Null, or the attempt that it found running."""
    boot_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadedEntry(Entry, kind="reloaded"):
    """`supervisor reload`: the daemon ends, for the next one to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorEndedEntry(Entry, kind="supervisor_ended"):
    """Launcher and daemon end."""

    state: RunState | str | None = None
    """Where the run is then."""
    code: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeEntry(Entry, kind="time"):
    """The seconds of `goodput`: at each start of an attempt, every five minutes and at the end."""

    launching_s: float = 0.0
    training_s: float = 0.0
    saving_s: float = 0.0
    replaying_s: float = 0.0
    waiting_s: float = 0.0
    down_s: float = 0.0
    unknown_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEntry(Entry, kind="incident"):
    """Evidence was kept."""

    id: int | None = None
    """0 where its folder could not be made."""
    attempt: int | None = None
    failure: Failure | None = None
    what: str | None = None
    evidence: tuple[str, ...] = ()
    done: str | None = None
    folder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRemadeEntry(Entry, kind="record_remade"):
    """Files of the record were removed while the run went on, and made anew."""

    lost: tuple[str, ...]
    """Which files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TookOverEntry(Entry, kind="took_over"):
    """By `run --take-over`: the checkpoint directory was another run's."""

    directory: str
    run_id: str | None = None
    """Of the other run; null where its mark was damaged."""
    run_dir: str | None = None
    """Of the other run; null where its mark was damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariablesChangedEntry(Entry, kind="variables_changed"):
    """Variables of the environment that the command names have other values at this start."""

    names: tuple[str, ...]
    since: int
    """The last attempt of which the values are known."""

    @property
    def text(self) -> str:
        """`LR changed since attempt 3`."""
        return f"{', '.join(self.names)} changed since attempt {self.since}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequeueEntry(Entry, kind="requeue"):
    """Whether SLURM is asked to start the job again, and if not, why; written before the order."""

    job: str
    verdict: str
    """`ask` (ordered), `already`, `cancelled`, `forbidden`, `no_batch`, `unknown`."""

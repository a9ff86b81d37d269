"""Entries of a run, its supervisors and daemons, and of the scheduler's job that it is in."""

from dataclasses import dataclass

from supervisor.core.entries.entry import Entry
from supervisor.core.vocabulary import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCreatedEntry(Entry, kind="run_created"):
    """The first entry of a run."""

    run_id: str | None = None
    name: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorStartedEntry(Entry, kind="supervisor_started"):
    """A launcher took the run, by its first daemon. `pid`: the launcher's."""

    pid: int | None = None
    host: str | None = None
    boot_id: str | None = None
    config_path: str | None = None
    command: tuple[str, ...] = ()
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStartedEntry(Entry, kind="daemon_started"):
    """A daemon began. `adopted_attempt`: what it found running."""

    pid: int | None = None
    adopted_attempt: int | None = None
    boot_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadedEntry(Entry, kind="reloaded"):
    """`supervisor reload`: the daemon ends, for the next one to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorEndedEntry(Entry, kind="supervisor_ended"):
    """Launcher and daemon end. `state`: where the run is then (`RunState`)."""

    state: str | None = None
    code: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeEntry(Entry, kind="time"):
    """Where the run's time went so far, in seconds (`Account`)."""

    launching_s: float = 0.0
    training_s: float = 0.0
    saving_s: float = 0.0
    replaying_s: float = 0.0
    waiting_s: float = 0.0
    down_s: float = 0.0
    unknown_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEntry(Entry, kind="incident"):
    """Evidence was kept. `id`: 0 where its folder could not be made."""

    id: int | None = None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TookOverEntry(Entry, kind="took_over"):
    """The checkpoint directory was another run's; None where that run's mark was damaged."""

    directory: str
    run_id: str | None = None
    run_dir: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequeueEntry(Entry, kind="requeue"):
    """SLURM is asked to start the job again, or why it is not (`slurm.facts.Requeue`)."""

    job: str
    verdict: str

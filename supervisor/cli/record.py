"""What is on record about a run, and whether somebody still keeps it; it writes nothing."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.cli.show.formatting import age_text, wall_of
from supervisor.core.json_form import from_json, to_json
from supervisor.core.status import NoDaemon, Pids, SnapshotStatus, Status, StillRunning
from supervisor.core.vocabulary import TERMINAL, Intent, RunState
from supervisor.daemon.look.frozen_launcher import is_frozen
from supervisor.rundir.intent import read_intent
from supervisor.rundir.lock import Holder, holder, is_held
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status
from supervisor.system.clock import wall_s
from supervisor.system.small_file import read_small_file

if TYPE_CHECKING:
    from supervisor.cli.show.slurm_queue import Queued
    from supervisor.core.entries.entry import Stamped
    from supervisor.core.history import History


class Unwatched(StrEnum):
    """Where a run is that no supervisor has, and that did not end by its record."""

    DOWN = "down"
    NEVER_STARTED = "never started"


# The daemon writes once a second; on network file systems other machines see it later.
FRESH_S = 30.0
_LATE_S = 10.0
# Every key of the contract, so that what is absent is null.
_KEYS = (
    "run",
    "run_id",
    "name",
    "run_dir",
    "config",
    "host",
    "state",
    "reason",
    "intent",
    "attempt",
    "restarts",
    "pids",
    "no_daemon",
    "phase",
    "attached",
    "step",
    "step_rate",
    "epoch",
    "loss",
    "heartbeat_age_s",
    "log_age_s",
    "launcher_frozen",
    "still_running",
    "last_save_s",
    "checkpoint",
    "snapshot",
    "persister",
    "failure",
    "action",
    "next_at",
    "grace_s",
    "stopping",
    "interrupts",
    "goodput",
    "budget",
    "warnings",
    "slurm",
    "started_at",
    "updated_at",
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One look at a run: its last status, and whether a supervisor has it now."""

    paths: RunPaths
    status: Status
    """The last one that was written, with nothing in it where none can be read."""
    has_status: bool
    live: bool
    owner: Holder | None
    age_s: float | None
    """Since the status was written; None where there is none."""
    intent: Intent = Intent.RUN
    """What the operator wants now, also where no daemon has heard it."""
    snapshot: SnapshotStatus | None = None
    """The newest snapshot in memory; as it is now where no daemon says so."""
    no_daemon: NoDaemon | None = None
    """What the launcher says of daemons that do not come up."""
    has_ledger: bool = False
    """Whether anything was ever written down: a run without a status may have been started."""
    still_running: tuple[StillRunning, ...] = ()
    """What trains on without a supervisor, where none has the run: still_running.py."""
    launcher_frozen: bool = False
    """Whether the launcher is stopped by a signal, so that nothing it is told is done."""
    queued: "Queued | None" = None
    """The SLURM job that waits its turn to go on with the run."""

    @property
    def name(self) -> str:
        """The run's name, or its directory's."""
        return self.status.name or self.paths.run_dir.name

    @property
    def state(self) -> str:
        """The state on record; `down` where it was left behind by a supervisor that is gone."""
        recorded = self.status.state
        if self.live:
            return recorded or RunState.LAUNCHING
        if recorded is None:
            return Unwatched.DOWN if self.has_ledger else Unwatched.NEVER_STARTED
        return recorded if recorded in TERMINAL else Unwatched.DOWN

    @property
    def stale(self) -> bool:
        """A supervisor has the run but has not written for a while."""
        late_s = _LATE_S if self.owner is not None and self.owner.is_here() else FRESH_S
        return self.live and self.age_s is not None and self.age_s > late_s

    def as_json(self) -> dict[str, Any]:
        """The status with every contract key, and `live`; ids of processes only while live."""
        body: dict[str, Any] = dict.fromkeys(_KEYS)
        if self.has_status:
            body |= to_json(self.status)
        body["run_dir"] = body["run_dir"] or str(self.paths.run_dir)
        body["name"] = self.name
        body["run"] = body["run"] or self.name
        if self.state == Unwatched.DOWN:
            body["last_state"] = self.status.state
        body["state"] = None if self.state == Unwatched.NEVER_STARTED else self.state
        body["intent"] = str(self.intent)
        body["live"] = self.live
        body["no_daemon"] = None if self.no_daemon is None else to_json(self.no_daemon)
        body["still_running"] = [to_json(found) for found in self.still_running]
        body["launcher_frozen"] = self.launcher_frozen if self.live else None
        body["snapshot"] = None if self.snapshot is None else to_json(self.snapshot)
        if self.queued is not None:
            body["slurm"] = {**(body["slurm"] or {}), **self.queued.as_json()}
        body["persister"] = body["persister"] if self.live else None
        body["pids"] = to_json(self.status.pids if self.live else Pids())
        return body


def read_record(run_dir: Path) -> RunRecord:
    """Look at a run once. Files that are missing or not whole are as absent; never raises."""
    paths = RunPaths(run_dir)
    known = read_status(paths.status)
    status = known or Status()
    updated = wall_of(status.updated_at)
    age_s = max(0.0, wall_s() - updated) if updated is not None else None
    owner = holder(paths)
    live = is_held(paths)
    if not live and owner is not None and not owner.is_here() and known is not None:
        # Another machine's process cannot be looked at, so its last words decide.
        live = status.state not in TERMINAL and age_s is not None and age_s < FRESH_S
    intent = _intent(paths, status)
    snapshot = _snapshot(paths, known, live=live)
    is_known = known is not None or _has_ledger(paths)
    return RunRecord(
        paths,
        status,
        known is not None,
        live,
        owner,
        age_s,
        intent=intent,
        snapshot=snapshot,
        no_daemon=_no_daemon(paths) if live else None,
        has_ledger=is_known,
        still_running=() if live or not is_known else _still_running(paths, status, owner),
        launcher_frozen=live and _is_frozen(status, owner),
        queued=None if live else _queued(paths, status),
    )


def _still_running(
    paths: RunPaths, status: Status, owner: Holder | None
) -> tuple[StillRunning, ...]:
    """What is left of a run that nobody keeps, where it can be seen from here."""
    if owner is not None and not owner.is_here():
        return ()
    from supervisor.cli.still_running import still_running  # `status` of a live run: not needed

    return still_running(paths, status.run_id)


def _is_frozen(status: Status, owner: Holder | None) -> bool:
    """By a look at the launcher; on another machine as its daemon saw it last."""
    if owner is not None and owner.is_here():
        return owner.is_alive() and is_frozen(owner.identity.pid)
    return status.launcher_frozen


def _has_ledger(paths: RunPaths) -> bool:
    try:
        return paths.ledger.stat().st_size > 0
    except OSError:
        return False


def _queued(paths: RunPaths, status: Status) -> "Queued | None":
    """The SLURM job that waits its turn to go on with a run that nobody keeps."""
    from supervisor.cli.show.slurm_queue import queued  # `status` of a live run need not pay for it

    return queued(paths, status)


def _no_daemon(paths: RunPaths) -> NoDaemon | None:
    """What the launcher has left there, as far as it can be read."""
    try:
        return from_json(NoDaemon, json.loads(read_small_file(paths.no_daemon)))
    except (OSError, ValueError, RecursionError):
        return None


def no_daemon_text(said: NoDaemon, now_s: float) -> str:
    """That the run has no daemon, since when and why."""
    since = wall_of(said.since)
    first = f", the first {age_text(now_s - since)}" if since is not None else ""
    return (
        f"NONE: {said.failures} in a row died{first} ({said.why}). Nobody watches the"
        " run and nothing is launched; what runs goes on, and the launcher tries again"
    )


def _snapshot(paths: RunPaths, status: Status | None, *, live: bool) -> SnapshotStatus | None:
    """What is in memory: as the daemon says, else what it left there, if that is still so."""
    if status is None:
        return None
    if not live:
        from supervisor.cli.runtime_directories import snapshot_facts, snapshot_root

        return snapshot_facts(snapshot_root(paths, status.run_id))
    return status.snapshot


def _intent(paths: RunPaths, status: Status) -> Intent:
    """What the operator wants; what the daemon last heard where the file is closed to us."""
    try:
        return read_intent(paths.intent).intent
    except OSError:
        return status.intent


def read_history(paths: RunPaths) -> "tuple[History, list[Stamped]]":
    """What the ledger tells, folded, and its entries. Raises OSError."""
    from supervisor.core.replay import fold  # `status` need not pay for it
    from supervisor.rundir.ledger_entries import iterate_entries

    ledger = list(iterate_entries(paths.ledger))
    return fold(ledger), ledger

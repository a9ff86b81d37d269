"""What is on record about a run, and whether a supervisor has it now; it writes nothing."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.cli.show.formatting import age_text, wall_of
from supervisor.core.json_form import from_json, to_json
from supervisor.core.status import Pids, SnapshotStatus, Status
from supervisor.core.unwatched_status import NoDaemon, StillRunning
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
    """The states of a run that no supervisor has and whose record names no end."""

    DOWN = "down"
    NEVER_STARTED = "never started"


# The daemon writes once a second; on network file systems other machines see it later.
FRESH_S = 30.0
_LATE_S = 10.0
# Every key that `status --json` promises: a value that is not known is null.
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
    "restarts_by_failure",
    "incidents",
    "pids",
    "no_daemon",
    "phase",
    "attached",
    "overdue",
    "step",
    "step_rate",
    "total",
    "eta_s",
    "printed",
    "epoch",
    "loss",
    "grad_norm",
    "adapter",
    "described",
    "heartbeat_age_s",
    "sign_of_life",
    "log_age_s",
    "launcher_frozen",
    "still_running",
    "last_save_s",
    "save_interval",
    "gpus",
    "recovery",
    "checkpoint",
    "at_risk",
    "snapshot",
    "persister",
    "failure",
    "action",
    "changed",
    "advice",
    "next_at",
    "grace_s",
    "stopping",
    "interrupts",
    "goodput",
    "budget",
    "warnings",
    "notify",
    "slurm",
    "started_at",
    "updated_at",
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One look at a run: its last status, and whether a supervisor has it now."""

    paths: RunPaths
    status: Status
    """The status that was written last; an empty one where none can be read."""
    has_status: bool
    live: bool
    owner: Holder | None
    age_s: float | None
    """Seconds since the status was written; None where there is none."""
    intent: Intent = Intent.RUN
    """What the operator wants now, even if no daemon has read it yet."""
    snapshot: SnapshotStatus | None = None
    """The newest snapshot in memory: from the status of a live run, else read from memory."""
    no_daemon: NoDaemon | None = None
    """What the launcher wrote about daemons that could not start."""
    has_ledger: bool = False
    """Whether a status or a ledger entry exists: a run without a status may have been started."""
    still_running: tuple[StillRunning, ...] = ()
    """The processes that train on while no supervisor has the run (still_running.py)."""
    launcher_frozen: bool = False
    """Whether a signal has stopped the launcher, so that it does nothing it is told."""
    queued: "Queued | None" = None
    """The SLURM job that waits in the queue to go on with the run."""

    @property
    def name(self) -> str:
        """The run's name, or its directory's."""
        return self.status.name or self.paths.run_dir.name

    @property
    def state(self) -> str:
        """The state on record; `down` where the supervisor that wrote it is gone."""
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
        """The status with every promised key, and `live`; process ids only while live."""
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
    """Look at a run once. A damaged file counts as a missing one; never raises."""
    paths = RunPaths(run_dir)
    known = read_status(paths.status)
    status = known or Status()
    updated = wall_of(status.updated_at)
    age_s = max(0.0, wall_s() - updated) if updated is not None else None
    owner = holder(paths)
    live = is_held(paths)
    if not live and owner is not None and not owner.is_here() and known is not None:
        # This machine cannot look at another machine's process, so its last status decides.
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
    """The processes of a run that no supervisor has, where this machine can see them."""
    if owner is not None and not owner.is_here():
        return ()
    from supervisor.cli.still_running import still_running  # `status` of a live run: not needed

    return still_running(paths, status.run_id)


def _is_frozen(status: Status, owner: Holder | None) -> bool:
    """Look at the launcher; where it is on another machine, ask its daemon's last status."""
    if owner is not None and owner.is_here():
        return owner.is_alive() and is_frozen(owner.identity.pid)
    return status.launcher_frozen


def _has_ledger(paths: RunPaths) -> bool:
    try:
        return paths.ledger.stat().st_size > 0
    except OSError:
        return False


def _queued(paths: RunPaths, status: Status) -> "Queued | None":
    """The SLURM job that waits in the queue to go on with a run that no supervisor has."""
    from supervisor.cli.show.slurm_queue import queued  # `status` of a live run need not pay for it

    return queued(paths, status)


def _no_daemon(paths: RunPaths) -> NoDaemon | None:
    """What the launcher wrote about daemons that could not start; None where nothing is read."""
    try:
        return from_json(NoDaemon, json.loads(read_small_file(paths.no_daemon)))
    except (OSError, ValueError, RecursionError):
        return None


def no_daemon_text(said: NoDaemon, now_s: float) -> str:
    """That the run has no daemon, since when and why."""
    since = wall_of(said.since)
    first = f", the first {age_text(now_s - since)}" if since is not None else ""
    return (
        f"NONE: {said.failures} daemons in a row died{first} ({said.why}). Nobody watches the"
        " run, and nothing is launched. An attempt that runs goes on, and the launcher tries again"
    )


def _snapshot(paths: RunPaths, status: Status | None, *, live: bool) -> SnapshotStatus | None:
    """The newest snapshot: from the daemon's status while the run is live, else from memory."""
    if status is None:
        return None
    if not live:
        from supervisor.cli.runtime_directories import snapshot_facts, snapshot_root

        return snapshot_facts(snapshot_root(paths, status.run_id))
    return status.snapshot


def _intent(paths: RunPaths, status: Status) -> Intent:
    """What the operator wants; where the file cannot be read, what the daemon heard last."""
    try:
        return read_intent(paths.intent).intent
    except OSError:
        return status.intent


def read_history(paths: RunPaths) -> "tuple[History, list[Stamped]]":
    """The ledger summed up, and its entries. Raises OSError."""
    from supervisor.core.replay import fold  # `status` need not pay for it
    from supervisor.rundir.ledger_entries import iterate_entries

    ledger = list(iterate_entries(paths.ledger))
    return fold(ledger), ledger

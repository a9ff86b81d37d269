"""The messages: orders from the daemon to the launcher (`do`), reports from the launcher (`is`).

Fields stand in the order in which they are written. A field with a default may be missing: a
daemon or a launcher of another version may not know it. `None` is not known, or not there.
"""

from __future__ import annotations

from supervisor.launcher.message_fields import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Sent in the hello. A new kind or field needs no new number: a receiver passes over unknown ones.
PROTOCOL = 1


class _Order(Message):
    """What the daemon sends."""

    key = "do"


class _Report(Message):
    """What the launcher sends."""

    key = "is"


class ProgramOrder(_Order):
    """The program of an attempt. Its environment is the launcher's, less `unset`, plus `env`."""

    attempt: int
    run_id: str
    argv: tuple[str, ...]
    env: dict[str, str]
    unset: tuple[str, ...] = ()
    cwd: str | None = None


class LaunchOrder(ProgramOrder, kind="launch"):
    """Begin an attempt; `why_cold` is None if a parked interpreter may be used.

    `patience_s`: how long a parked interpreter may still import. `word_s`: how long leftovers of a
    main process that exits with 0 wait for the daemon's word; 0 if the daemon gives none.
    """

    log: str | None = None
    why_cold: str | None = None
    patience_s: float = 0.0
    word_s: float = 0.0


class ParkOrder(ProgramOrder, kind="park"):
    """Park an interpreter for such a program; `preload` is "auto" or names of modules."""

    attempt: int = 0
    record: str | None = None
    preload: str | tuple[str, ...] = "auto"
    standby: str | None = None
    output: str | None = None


class AttemptOrder(_Order):
    """An order for an attempt that was launched."""

    attempt: int


class StopOrder(AttemptOrder, kind="stop"):
    """Have it save and end within `grace_s`; daemons of earlier versions send no grace."""

    signal: int
    grace_s: float | None = None
    is_hang: bool = False


class KillOrder(AttemptOrder, kind="kill"):
    """SIGKILL every process of it."""


class KeepOrder(AttemptOrder, kind="keep"):
    """The daemon's word on leftovers: they may live for `for_s` from now, 0 for no longer."""

    for_s: float


class SignalOrder(AttemptOrder, kind="signal"):
    """Send a signal to those of `pids` that belong to the attempt."""

    signal: int
    pids: tuple[int, ...]


class PersisterOrder(_Order, kind="persister"):
    """Keep a persister for a directory of snapshots; None: it may finish, within `patience_s`."""

    directory: str | None = None
    patience_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, without `patience_s` if that is None."""
        told = Message.to_json(self)
        if self.patience_s is None:
            del told["patience_s"]
        return told


class RelockOrder(_Order, kind="relock"):
    """Take the run's lock anew at `path`; launcher and daemon both have it open as `fd`."""

    path: str
    fd: int


class ExitOrder(_Order, kind="exit"):
    """End: the run is over, with this exit code."""

    code: int


class Noted(_Order, kind="noted"):
    """The daemon received a signal, whatever it decides."""


class Alive(_Order, kind="alive"):
    """The daemon's loop turns."""


class CannotStart(_Order, kind="failed"):
    """The daemon cannot start and ends; `why` says the reason."""

    why: str


Order = (
    LaunchOrder | ParkOrder | StopOrder | KillOrder | KeepOrder | SignalOrder
    | PersisterOrder | RelockOrder | ExitOrder | Noted | Alive | CannotStart
)  # fmt: skip


class StartReport(_Report):
    """An attempt's main process: `launch` is "warm" or "cold", `why` says why it was not warm.

    `asked`: the monotonic time at which all leftovers had ended. `cgroup`: its cgroup's directory.
    """

    attempt: int
    pid: int
    start_ticks: int
    launch: str = "cold"
    why: str | None = None
    asked: float | None = None
    cgroup: str | None = None


class StartedReport(StartReport, kind="started"):
    """An attempt runs, since `monotonic`."""

    monotonic: float | None = None


class StartFailedReport(_Report, kind="start_failed"):
    """Nothing was started: an errno, 0 where there is none, and a sentence."""

    attempt: int | None = None
    errno: int = 0
    message: str


class EndReport(_Report):
    """How a main process ended, at `monotonic`; None is not known.

    `awaits_word`: leftovers of it wait for the daemon's word (KeepOrder).
    """

    attempt: int
    code: int | None = None
    awaits_word: bool = False
    signal: int | None = None
    core_dumped: bool = False
    monotonic: float


class MainExitedReport(EndReport, kind="main_exited"):
    """The main process has ended, and other processes of the attempt live."""


class LeftEnd(Message):
    """How a process ended that outlived the main process."""

    pid: int
    code: int | None = None
    signal: int | None = None


class ExitedReport(EndReport, kind="exited"):
    """No process of an attempt lives: `leftovers` were killed, `left_ended` ended by themselves.

    `oom_kills` is None if the attempt has no cgroup of its own.
    """

    leftovers: int = 0
    left_ended: tuple[LeftEnd, ...] = ()
    peak_rss_bytes: int = 0
    oom_kills: int | None = None


class ParkedReport(_Report, kind="parked"):
    """The parked interpreter has changed; `reason` says why there is none.

    `said` is its report on itself, handed on unchanged: it may be newer than the launcher.
    """

    stage: str = "absent"
    pid: int | None = None
    since: float | None = None
    said: dict[str, Any] | None = None
    reason: str | None = None
    has_died: bool = False


class RelockedReport(_Report, kind="relocked"):
    """The lock was taken anew, or `error` says why not."""

    error: str | None = None


class SignalReport(_Report, kind="signal"):
    """The launcher received a signal, "TERM" for SIGTERM."""

    signal: str
    monotonic: float | None = None


class StuckProcess(Message):
    """A process that SIGKILL does not end, and where in the kernel it is (procfs)."""

    pid: int
    comm: str = ""
    state: str = ""
    wchan: str = ""
    syscall: str = ""
    stack: tuple[str, ...] = ()


class UnkillableReport(_Report, kind="unkillable"):
    """Processes of an attempt survive SIGKILL."""

    attempt: int
    pids: tuple[StuckProcess, ...] = ()


class KnownAttempt(StartReport):
    """An attempt as the next daemon has to know it; `ending` if its main process has ended."""

    run_id: str = ""
    started_monotonic: float | None = None
    stop_sent: bool = False
    kill_sent: bool = False
    stop_sent_at: float | None = None
    kill_sent_at: float | None = None
    main_ended: bool = False
    ending: MainExitedReport | None = None

    def as_started(self) -> StartedReport:
        """Return the report of its start."""
        start = {name: getattr(self, name) for name in StartReport.fields}
        return StartedReport(**start, monotonic=self.started_monotonic)


class Hello(_Report, kind="hello"):
    """The first report to each daemon. `last_exit` is repeated until the next launch.

    `signals`: those that possibly no daemon has acted on. `daemon_restarts`: the daemons before it.
    """

    protocol: int = 0
    launcher_pid: int | None = None
    attempt: KnownAttempt | None = None
    last_exit: ExitedReport | None = None
    parked: ParkedReport = ParkedReport()
    stop_signal_at: float = 0.0
    signals: tuple[str, ...] = ()
    daemon_restarts: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values. Daemons of version 0 read `last_exit` as a whole report."""
        told = Message.to_json(self)
        if self.last_exit is not None:
            told["last_exit"] = self.last_exit.to_json()
        return told


Report = (
    Hello | StartedReport | StartFailedReport | MainExitedReport | ExitedReport
    | ParkedReport | RelockedReport | SignalReport | UnkillableReport
)  # fmt: skip

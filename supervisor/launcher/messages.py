"""What daemon and launcher tell each other: orders to it (`do`), reports from it (`is`).

Fields stand in the order in which they are written. A field with a default may be missing: a
daemon or a launcher of another version may not know it. `None` is not known, or not there.
"""

from __future__ import annotations

from supervisor.launcher.message_fields import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Said in the hello. A new kind or field needs no new one: it is passed over where it is not known.
PROTOCOL = 1


class _Order(Message):
    """What the daemon sends."""

    key = "do"


class _Report(Message):
    """What the launcher sends."""

    key = "is"


class ProgramOrder(_Order):
    """The program of an attempt: `env` on top of the launcher's environment, less `unset`."""

    attempt: int
    run_id: str
    argv: tuple[str, ...]
    env: dict[str, str]
    unset: tuple[str, ...] = ()
    cwd: str | None = None


class LaunchOrder(ProgramOrder, kind="launch"):
    """Begin an attempt; `why_cold` is None where a parked interpreter may be used.

    `patience_s`: how long one that is not ready yet is waited for. `word_s`: how long what the main
    process leaves behind with exit code 0 waits for the daemon's word, 0 where that gives none.
    """

    log: str | None = None
    why_cold: str | None = None
    patience_s: float = 0.0
    word_s: float = 0.0


class ParkOrder(ProgramOrder, kind="park"):
    """Have a spare interpreter for such a program; `preload` is "auto" or names of modules."""

    attempt: int = 0
    record: str | None = None
    preload: str | tuple[str, ...] = "auto"
    standby: str | None = None
    output: str | None = None


class AttemptOrder(_Order):
    """What concerns an attempt that was launched."""

    attempt: int


class StopOrder(AttemptOrder, kind="stop"):
    """Have it save and end within `grace_s`; daemons of earlier versions say none."""

    signal: int
    grace_s: float | None = None
    is_hang: bool = False


class KillOrder(AttemptOrder, kind="kill"):
    """SIGKILL all of it."""


class KeepOrder(AttemptOrder, kind="keep"):
    """The word on what its main process has left: it may live so long from now, 0 for no more."""

    for_s: float


class SignalOrder(AttemptOrder, kind="signal"):
    """Send a signal to these processes, as far as they are its own."""

    signal: int
    pids: tuple[int, ...]


class PersisterOrder(_Order, kind="persister"):
    """Have a persister for a snapshot directory; None: it may finish, within `patience_s`."""

    directory: str | None = None
    patience_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; the patience only where it is said."""
        told = Message.to_json(self)
        if self.patience_s is None:
            del told["patience_s"]
        return told


class RelockOrder(_Order, kind="relock"):
    """Take the run's lock anew at `path`, as the descriptor that both have open as `fd`."""

    path: str
    fd: int


class ExitOrder(_Order, kind="exit"):
    """End: the run is over, with this exit code."""

    code: int


class Noted(_Order, kind="noted"):
    """A signal was heard, whatever comes of it."""


class Alive(_Order, kind="alive"):
    """The daemon's loop turns."""


class CannotStart(_Order, kind="failed"):
    """Why this daemon ends before it has begun."""

    why: str


Order = (
    LaunchOrder | ParkOrder | StopOrder | KillOrder | KeepOrder | SignalOrder
    | PersisterOrder | RelockOrder | ExitOrder | Noted | Alive | CannotStart
)  # fmt: skip


class StartReport(_Report):
    """An attempt's main process: `launch` is "warm" or "cold", `why` it was not warm.

    `asked`: the monotonic time at which the way was clear. `cgroup`: the attempt's own directory.
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

    `awaits_word`: the daemon is asked what becomes of what it has left.
    """

    attempt: int
    code: int | None = None
    awaits_word: bool = False
    signal: int | None = None
    core_dumped: bool = False
    monotonic: float


class MainExitedReport(EndReport, kind="main_exited"):
    """The main process has ended, and others of the attempt live."""


class LeftEnd(Message):
    """How a process ended that a main process had left."""

    pid: int
    code: int | None = None
    signal: int | None = None


class ExitedReport(EndReport, kind="exited"):
    """All of an attempt is gone: `leftovers` were killed, `left_ended` ended by themselves.

    `oom_kills` is None where the attempt has no cgroup of its own.
    """

    leftovers: int = 0
    left_ended: tuple[LeftEnd, ...] = ()
    peak_rss_bytes: int = 0
    oom_kills: int | None = None


class ParkedReport(_Report, kind="parked"):
    """The spare interpreter has changed; `reason` is why there is none.

    `said` is what it says of itself, handed on as it is: it may be newer than the launcher.
    """

    stage: str = "absent"
    pid: int | None = None
    since: float | None = None
    said: dict[str, Any] | None = None
    reason: str | None = None
    has_died: bool = False


class RelockedReport(_Report, kind="relocked"):
    """The lock was taken anew, or why not."""

    error: str | None = None


class SignalReport(_Report, kind="signal"):
    """The launcher was sent a signal, TERM for SIGTERM."""

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
    """An attempt as the next daemon has to know it; `ending` where only others of it live."""

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
    """The first report to each daemon. `last_exit`: until the next launch. `protocol`: PROTOCOL.

    `signals`: those that no daemon may have acted on. `daemon_restarts`: how many were before it.
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
        """Return it as JSON values. Daemons of version 0 take `last_exit` for the report itself."""
        told = Message.to_json(self)
        if self.last_exit is not None:
            told["last_exit"] = self.last_exit.to_json()
        return told


Report = (
    Hello | StartedReport | StartFailedReport | MainExitedReport | ExitedReport
    | ParkedReport | RelockedReport | SignalReport | UnkillableReport
)  # fmt: skip

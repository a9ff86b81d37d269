"""The launcher's work when the launcher is dead: let the trainer save and end, launch nothing."""

import subprocess
from pathlib import Path

from supervisor.launcher.messages import (
    ExitedReport,
    KillOrder,
    Order,
    PersisterOrder,
    SignalOrder,
    StopOrder,
    UnkillableReport,
)
from supervisor.launcher.termination import Survivors
from supervisor.memory import persister_process
from supervisor.system.cgroup import Group
from supervisor.system.clock import monotonic_s
from supervisor.system.identity import ProcessIdentity


class OrphanedAttempt:
    """Carries out orders for an attempt whose launcher was killed.

    The daemon is not the parent of these processes, so it learns of their end by polling.
    """

    def __init__(
        self,
        run_id: str,
        attempt: int,
        main: ProcessIdentity | None,
        heartbeat_dir: Path,
        *,
        cgroup: str | None = None,
    ) -> None:
        self._attempt = attempt
        self._main = main
        self._group = Group() if cgroup is None else Group(cgroup)
        self._survivors = Survivors(
            run_id, attempt, heartbeat_dir=str(heartbeat_dir), main=main, group=self._group
        )
        self._reported = False
        self._persister: subprocess.Popen[bytes] | None = None

    def send(self, order: Order) -> None:
        """Obey what can be obeyed without being the parent."""
        match order:
            case StopOrder():
                self._survivors.stop(order.signal, order.grace_s, order.is_hang)
            case KillOrder():
                self._survivors.kill()
            case SignalOrder():
                self._survivors.signal_exactly(order.pids, order.signal)
            case PersisterOrder():
                self._order_persister(order.directory)

    def _order_persister(self, directory: str | None) -> None:
        """Start a persister of the daemon's own, since the launcher's ends with the launcher.

        The trainer's last snapshot must reach the disk. The new persister waits for the old one to
        end, and ends with the daemon.
        """
        if directory is not None:
            if self._persister is None or self._persister.poll() is not None:
                self._persister = persister_process.start(directory)
        elif self._persister is not None and self._persister.stdin is not None:
            self._persister.stdin.close()

    def poll(self) -> list[UnkillableReport | ExitedReport]:
        """The reports that a launcher would send, without the exit status: only a parent has it."""
        if self._reported:
            return []
        if self._survivors.advance():
            left = self._survivors.unkillable()
            return [UnkillableReport(attempt=self._attempt, pids=left)] if left else []
        self._reported = True
        self._group.remove()
        return [ExitedReport(attempt=self._attempt, monotonic=monotonic_s())]

"""The launcher's work when the launcher is dead: let the trainer save and end, launch nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.clock import monotonic_s
from supervisor.daemon.link import Message
from supervisor.identity import ProcessIdentity
from supervisor.launcher.survivors import Survivors


class OrphanedAttempt:
    """Takes orders for an attempt whose launcher was killed; polled, since not its parent."""

    def __init__(
        self, run_id: str, attempt: int, main: ProcessIdentity | None, heartbeat_dir: Path
    ) -> None:
        self._attempt = attempt
        self._main = main
        self._survivors = Survivors(run_id, attempt, heartbeat_dir=str(heartbeat_dir), main=main)
        self._reported = False

    def send(self, order: Mapping[str, Any]) -> None:
        """Obey what can be obeyed without being the parent."""
        match order.get("do"):
            case "stop":
                self._survivors.stop(int(order["signal"]))
            case "kill":
                self._survivors.kill()
            case "signal":
                self._survivors.signal_exactly(order["pids"], int(order["signal"]))

    def poll(self) -> list[Message]:
        """What there is to report: the end of the attempt, with a status nobody can know."""
        if self._reported:
            return []
        if self._survivors.advance():
            left = self._survivors.unkillable()
            return [{"is": "unkillable", "attempt": self._attempt, "pids": left}] if left else []
        self._reported = True
        return [
            {
                "is": "exited",
                "attempt": self._attempt,
                "code": None,
                "signal": None,
                "monotonic": monotonic_s(),
                "leftovers": 0,
            }
        ]

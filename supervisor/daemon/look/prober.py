"""Has a probe made by a child process: a disk that does not answer must not stall the daemon."""

import json
from collections.abc import Callable
from typing import Any

from supervisor.core.effects import Probe
from supervisor.core.events import Event, Probed
from supervisor.core.vocabulary import Failure
from supervisor.daemon.look.asked_child import IS_LOST, AskedChild, NoAnswer
from supervisor.daemon.look.probes import probe
from supervisor.daemon.run import Run
from supervisor.system.clock import monotonic_s

DEADLINE_S = 120.0
_PROGRAM = "supervisor.daemon.look.probe_child"


class Prober:
    """At most one probe at a time."""

    def __init__(self) -> None:
        self._child = AskedChild(DEADLINE_S)

    def look(self, order: Probe, run: Run) -> Probed | None:
        """Probe for what the run waits for; returns the answer only if no disk is needed for it."""
        surveyor = run.surveyor
        directory, size = surveyor.directory, surveyor.largest_bytes
        if order.what is Failure.CHECKPOINTS_MISSING:
            # The kernel knows what is mounted, without a look at the disk.
            mount = surveyor.unmounted
            return probe(order.what, directory=directory, checkpoint_bytes=size, mount=mount)
        question = {
            "cause": order.what,
            "directory": str(directory),
            "checkpoint_bytes": size,
            "files": surveyor.most_files,
            "place": order.place,
            "name": run.run_id,
        }
        return self.begin(question, monotonic_s())

    def begin(self, question: dict[str, Any], now: float) -> Probed | None:
        """Start a probe, unless one is under way. Returns the answer if none can be started.

        `question` has the arguments of `probes.probe`.
        """
        if self._child.is_asked:
            return None
        if self._child.is_lost:
            return Probed(clear=False, what=f"{question['directory']}: {IS_LOST} yet")
        try:
            self._child.start(["-m", _PROGRAM, json.dumps(question)], now)
        except OSError as error:
            return Probed(clear=False, what=f"the probe cannot be started: {error}")
        return None

    def tell(self, emit: Callable[[Event], None], now: float) -> None:
        """Emit the answer as an event, once it is there."""
        found = self.poll(now)
        if found is not None:
            emit(found)

    def poll(self, now: float) -> Probed | None:
        """The answer, or a failure after the deadline; None while the probe runs."""
        found = self._child.poll(
            now, lambda told: Probed(clear=bool(told["clear"]), what=str(told["what"]))
        )
        if not isinstance(found, NoAnswer):
            return found
        what = f"the probe gave {found.why}" if found.is_late else f"the probe failed: {found.why}"
        return Probed(clear=False, what=what)

    def cancel(self) -> None:
        """Kill the probe under way, and drop its answer."""
        self._child.cancel()

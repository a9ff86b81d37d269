"""Has a probe made by a child process: a disk that does not answer must not stall the daemon."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from supervisor.core.effects import Probe
from supervisor.core.events import Event, Probed
from supervisor.core.vocabulary import Failure
from supervisor.daemon.look.probes import probe
from supervisor.daemon.run import Run
from supervisor.system.clock import monotonic_s

DEADLINE_S = 120.0
_PROGRAM = "supervisor.daemon.look.probe_child"


class Prober:
    """At most one probe at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lost: list[subprocess.Popen[bytes]] = []
        self._until = 0.0

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
        if self._process is not None:
            return None
        self._lost = [process for process in self._lost if process.poll() is None]
        if self._lost:
            # On a dead disk not even SIGKILL ends a probe: no second one is started beside it.
            return Probed(
                clear=False, what=f"{question['directory']}: an earlier look has not ended yet"
            )
        command = [sys.executable, "-P", "-m", _PROGRAM, json.dumps(question)]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            return Probed(clear=False, what=f"the probe cannot be started: {error}")
        self._until = now + DEADLINE_S
        return None

    def tell(self, emit: Callable[[Event], None], now: float) -> None:
        """Emit the answer as an event, once it is there."""
        found = self.poll(now)
        if found is not None:
            emit(found)

    def poll(self, now: float) -> Probed | None:
        """The answer, or a failure after the deadline; None while the probe runs."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            if now < self._until:
                return None
            self.cancel()
            return Probed(clear=False, what=f"the probe gave no answer within {DEADLINE_S:.0f} s")
        self._process = None
        said, complaint = process.communicate()
        try:
            answer = json.loads(said)
            return Probed(clear=bool(answer["clear"]), what=str(answer["what"]))
        except (ValueError, KeyError, TypeError):
            lines = complaint.decode(errors="replace").strip().splitlines()
            why = lines[-1] if lines else f"exit code {process.returncode}"
            return Probed(clear=False, what=f"the probe failed: {why}")

    def cancel(self) -> None:
        """Kill the probe under way, and drop its answer."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        self._lost.append(process)

"""Has a probe made by a child process: a disk that does not answer stalls no daemon."""

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
        """Look whether what the run waits for is there; the answer, where that needs no disk."""
        surveyor = run.surveyor
        directory, size = surveyor.directory, surveyor.largest_bytes
        if order.what is Failure.CHECKPOINTS_MISSING:
            # Whether something is mounted is asked of the kernel.
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
        """Start a probe, unless one is under way. Where none can be started, that is the answer.

        `question` has the arguments of `probes.probe`.
        """
        if self._process is not None:
            return None
        self._lost = [process for process in self._lost if process.poll() is None]
        if self._lost:
            # On a disk that does not answer not even SIGKILL ends one: no second is added to it.
            return Probed(
                clear=False, what=f"{question['directory']}: an earlier look has not ended"
            )
        command = [sys.executable, "-P", "-m", _PROGRAM, json.dumps(question)]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            return Probed(clear=False, what=f"nothing can be looked at: {error}")
        self._until = now + DEADLINE_S
        return None

    def tell(self, emit: Callable[[Event], None], now: float) -> None:
        """Tell the answer, once it is there."""
        found = self.poll(now)
        if found is not None:
            emit(found)

    def poll(self, now: float) -> Probed | None:
        """The answer, once it is there, or once it is waited for no more."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            if now < self._until:
                return None
            self.cancel()
            return Probed(clear=False, what=f"no answer within {DEADLINE_S:.0f} s")
        self._process = None
        said, complaint = process.communicate()
        try:
            answer = json.loads(said)
            return Probed(clear=bool(answer["clear"]), what=str(answer["what"]))
        except (ValueError, KeyError, TypeError):
            lines = complaint.decode(errors="replace").strip().splitlines()
            why = lines[-1] if lines else f"exit code {process.returncode}"
            return Probed(clear=False, what=f"it cannot be looked at: {why}")

    def cancel(self) -> None:
        """Give up the probe under way: what it made it makes no more of."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        self._lost.append(process)

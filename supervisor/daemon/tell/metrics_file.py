"""Writes the metrics file of a run into the directory that a node_exporter reads.

A directory that is missing or full costs the metrics, never the run; a warning says so.
"""

import os

from supervisor.core.status import Status
from supervisor.daemon.look.gpu_meter import GpuMeter
from supervisor.daemon.run import Run
from supervisor.daemon.tell.metrics_text import metrics_text
from supervisor.daemon.tell.status import StatusFacts
from supervisor.rundir.metrics_path import metrics_path
from supervisor.system.durable import replace_file

EVERY_S = 10.0
# node_exporter runs as another user.
_MODE = 0o644


class MetricsFile:
    """The file, written every ten seconds at most."""

    def __init__(self, run: Run) -> None:
        directory = run.config.metrics.textfile
        self._path = directory and metrics_path(directory, run.config.name, run.run_id)
        self._tally = run.tally
        self._gpus = GpuMeter()
        self._due = 0.0
        self.warning: str | None = None
        """Why the file was not written; None if it was."""

    def fill(self, facts: StatusFacts, now: float, *, alive: bool) -> None:
        """Fill in the counts of the run, and what its GPUs do."""
        facts.incidents, facts.restarts_by_failure = self._tally.incidents, self._tally.restarts
        if self._path:
            self._gpus.poll(facts.trainer_pid if alive else None, now)
            facts.gpus = self._gpus.gpus

    def show(self, status: Status, now: float, *, is_last: bool = False) -> None:
        """Write the file if it is time; `now` in seconds of CLOCK_MONOTONIC. Never raises OSError.

        `is_last`: write it now, without what has no meaning once the run has ended.
        """
        if not self._path or (now < self._due and not is_last):
            return
        self._due = now + EVERY_S
        text = metrics_text(status, is_last=is_last).encode()
        # A name without the ending: the collector reads no half-written file.
        stage = self._path.parent / f".{self._path.stem}.{os.getpid()}"
        try:
            try:
                replace_file(self._path, text, mode=_MODE, sync=False, stage=stage)
            except FileExistsError:  # of a daemon with this pid that was killed inside a write
                stage.unlink(missing_ok=True)
                replace_file(self._path, text, mode=_MODE, sync=False, stage=stage)
        except OSError as error:
            self.warning = f"metrics cannot be written: {error.strerror or error}: {self._path}"
        else:
            self.warning = None

    def close(self) -> None:
        """End the child that asks for the GPUs."""
        self._gpus.close()

"""Has the metrics file of a run written into the directory that a node_exporter reads.

A directory that is missing, full or silent costs the metrics, never the run; a warning says so.
"""

from supervisor.core.status import Status
from supervisor.daemon.look.gpu_meter import GpuMeter
from supervisor.daemon.run import Run
from supervisor.daemon.tell.metrics_text import metrics_text
from supervisor.daemon.tell.metrics_writer import MetricsWriter
from supervisor.daemon.tell.status import StatusFacts
from supervisor.rundir.metrics_path import metrics_path
from supervisor.system.clock import monotonic_s

EVERY_S = 10.0
LAST_WAIT_S = 3.0


class MetricsTextfile:
    """The file, written every ten seconds at most."""

    def __init__(self, run: Run) -> None:
        directory = run.config.metrics.textfile
        self.writer: MetricsWriter | None = None
        """None: no metrics are wanted."""
        if directory is not None:
            path = metrics_path(directory, run.config.name, run.run_id)
            self.writer = MetricsWriter(path)
        self._tally = run.tally
        self._gpus = GpuMeter()
        self._due = 0.0

    @property
    def warning(self) -> str | None:
        """Why the file was not written; None if it was."""
        return None if self.writer is None else self.writer.warning

    def fill(self, facts: StatusFacts, now: float, *, alive: bool) -> None:
        """Fill in the counts of the run, and what its GPUs do."""
        facts.incidents, facts.restarts_by_failure = self._tally.incidents, self._tally.restarts
        if self.writer:
            self._gpus.poll(facts.trainer_pid if alive else None, now)
            facts.gpus = self._gpus.gpus

    def show(self, status: Status, now: float, *, is_last: bool = False) -> None:
        """Have it written if it is time; `now` in seconds of CLOCK_MONOTONIC. Never raises OSError.

        `is_last`: write it now, without what has no meaning once the run has ended, and wait for
        that a short time at most.
        """
        if self.writer is None:
            return
        until = monotonic_s() + LAST_WAIT_S
        if is_last:
            self.writer.wait(until)
        self.writer.poll(now)
        if self.writer.is_writing or (now < self._due and not is_last):
            return
        self._due = now + EVERY_S
        self.writer.write(metrics_text(status, is_last=is_last), now)
        if is_last:
            self.writer.wait(until)

    def close(self) -> None:
        """End the children that ask for the GPUs and write the file."""
        self._gpus.close()
        if self.writer is not None:
            self.writer.close()

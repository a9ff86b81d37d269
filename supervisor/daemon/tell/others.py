"""Tells others of the run: Prometheus by a file, people by messages.

Not even a bug in that may cost the run its daemon.
"""

from supervisor.core.states import State
from supervisor.core.status import Status
from supervisor.core.vocabulary import TERMINAL
from supervisor.daemon.run import Run
from supervisor.daemon.tell.metrics_file import MetricsTextfile
from supervisor.daemon.tell.notifier import Notifier
from supervisor.daemon.tell.status import StatusFacts


class Others:
    """Called with each status that is written."""

    def __init__(self, run: Run) -> None:
        self._log = run.journal.log
        self._metrics = MetricsTextfile(run)
        self._notifier = Notifier(run.config, run.noticed, run.journal)

    @property
    def warnings(self) -> tuple[str | None, ...]:
        """What does not work, for the user."""
        return self._metrics.warning, self._notifier.warning

    def fill(self, facts: StatusFacts, now: float, *, alive: bool) -> None:
        """Fill in what they know for the status."""
        try:
            self._metrics.fill(facts, now, alive=alive)
            facts.notify = self._notifier.status
        except Exception:
            self._log.exception("others_not_asked")

    def tell(self, status: Status, now: float) -> None:
        """Write metrics and send messages, where it is time. Returns at once."""
        try:
            self._metrics.show(status, now)
            self._notifier.poll(status)
        except Exception:
            self._log.exception("others_not_told")

    def finish(self, state: State, status: Status, now: float) -> None:
        """At this daemon's end; at the run's end, wait a moment for messages on their way."""
        try:
            if state.run in TERMINAL:
                self._metrics.show(status, now, is_last=True)
                self._notifier.poll(status, is_last=True)
                self._notifier.finish()
            self._metrics.close()
            self._notifier.close()
        except Exception:
            self._log.exception("others_not_told")

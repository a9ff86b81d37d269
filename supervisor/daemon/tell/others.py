"""Tells others of the run: Prometheus by a file, people by messages; and what hooks fail at.

Not even a bug in that may cost the run its daemon.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from supervisor.core.states import State
from supervisor.core.status import Status
from supervisor.core.vocabulary import TERMINAL
from supervisor.daemon.run import Run
from supervisor.daemon.tell.metrics_file import MetricsTextfile
from supervisor.daemon.tell.notifier import Notifier
from supervisor.daemon.tell.status import StatusFacts


class Others:
    """Called with each status that is written."""

    def __init__(self, run: Run, of_hooks: Callable[[], tuple[str, ...]] = tuple) -> None:
        """`of_hooks`: what hooks fail at."""
        self._log = run.journal.log
        self._of_hooks = of_hooks
        self._metrics = MetricsTextfile(run)
        self._notifier = Notifier(
            run.config, run.noticed, run.journal, run.runtime.root / "messages"
        )
        self._is_finished = False

    @property
    def warnings(self) -> tuple[str | None, ...]:
        """What does not work, for the user."""
        return self._metrics.warning, self._notifier.warning, *self._of_hooks()

    def fill(self, facts: StatusFacts, now: float, *, alive: bool) -> None:
        """Fill in what they know for the status."""
        with self._apart("others_not_asked"):
            self._metrics.fill(facts, now, alive=alive)
        with self._apart("others_not_asked"):
            facts.notify = self._notifier.status

    def tell(self, status: Status, now: float) -> None:
        """Write metrics and send messages, where it is time. Returns at once."""
        with self._apart():
            self._metrics.show(status, now)
        with self._apart():
            self._notifier.poll(status)

    def finish(self, state: State, status: Status, now: float) -> None:
        """At this daemon's end; at the run's end, wait a moment for messages on their way.

        Called again after SLURM was asked to start the job again: then that is told, if it failed.
        """
        is_again, self._is_finished = self._is_finished, True
        if is_again:
            with self._apart():
                self._notifier.tell_late(status)
            return
        if state.run in TERMINAL:
            with self._apart():
                self._metrics.show(status, now, is_last=True)
            with self._apart():
                self._notifier.poll(status, is_last=True)
            with self._apart():
                self._notifier.finish()
        with self._apart():
            self._metrics.close()
        with self._apart():
            self._notifier.close()

    @contextmanager
    def _apart(self, event: str = "others_not_told") -> Iterator[None]:
        """A bug in one of them must not keep the other from its work."""
        try:
            yield
        except Exception:
            self._log.exception(event)

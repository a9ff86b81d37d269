"""A snapshot whose copies are still under way: whole when they are done, and of one moment."""

import threading
from collections.abc import Callable

from supervisor.snapshot.seal import Snapshot
from train.checkpoint.inflight import InFlight

CHANGED = (
    "weights were changed outside of an optimizer's step while they were copied from the device"
    " (call wait_for_copies() before that); from now on training waits for such copies"
)


class Sealing:
    """A thread that waits for copies and closes the slot after them, or gives it up."""

    def __init__(
        self,
        copies: InFlight,
        sequence: int,
        record: Snapshot,
        seal: Callable[[], None],
        give_up: Callable[[], None],
    ) -> None:
        self.copies = copies
        self.sequence = sequence
        self.record = record
        self.problem: str | None = None
        """Why there is no snapshot, once it is over."""
        self._seal = seal
        self._give_up = give_up
        self._thread = threading.Thread(target=self._work, name="snapshot-seal", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether `join` would not wait."""
        return not self._thread.is_alive()

    def join(self) -> None:
        """Return when the snapshot is whole, or given up."""
        self._thread.join()

    def _work(self) -> None:
        try:
            if not self.copies.wait():
                self.problem = CHANGED
        except RuntimeError as error:  # of the device
            self.problem = f"copying from the device failed: {error}"
        if self.problem is not None:
            self._give_up()
            return
        try:
            self._seal()
        except OSError as error:  # its directory has vanished: the next snapshot mends that
            self.problem = f"it could not be kept in memory: {error}"

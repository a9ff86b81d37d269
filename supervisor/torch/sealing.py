"""Ends a snapshot whose copies are under way: it is whole once they are done and of one moment."""

import threading
from collections.abc import Callable

from supervisor.memory.seal import Snapshot
from supervisor.torch.background import BackgroundThread
from supervisor.torch.inflight import InFlight

CHANGED = (
    "weights were changed outside of an optimizer's step while they were copied from the device"
    " (call wait_for_copies() before you change them); from now on training waits for such copies"
)


class Sealing:
    """Waits for copies, then closes the slot or gives it up: once, in the first thread that can.

    If the training thread is interrupted (Ctrl-C), this is either done, or can be done later.
    """

    def __init__(
        self,
        copies: InFlight,
        sequence: int,
        record: Snapshot,
        seal: Callable[[], None],
        give_up: Callable[[], None],
    ) -> None:
        """`seal` may be called in a thread; nothing happens before `begin` or `join`."""
        self.copies = copies
        self.sequence = sequence
        self.record = record
        self.problem: str | None = None
        """Why there is no snapshot, once it is over."""
        self._seal = seal
        self._give_up = give_up
        self._turn = threading.Lock()
        self._over = threading.Event()

    def begin(self) -> None:
        """Do it in the background, or at once if no thread can be started."""
        try:
            BackgroundThread("snapshot-seal", self._work, lambda: None).start()
        except RuntimeError:
            self._work()

    @property
    def is_over(self) -> bool:
        """Whether `join` would not wait."""
        return self._over.is_set()

    def join(self) -> None:
        """Return when the snapshot is whole, or given up."""
        self._work()
        self._over.wait()

    def _work(self) -> None:
        if not self._turn.acquire(blocking=False):
            return  # another thread does it, or has done it
        try:
            self._close()
        except Exception as error:
            # say, its directory has vanished: the next snapshot mends that
            self.problem = f"the snapshot could not be kept in memory: {error}"
        except BaseException:
            self._turn.release()
            raise
        self._over.set()

    def _close(self) -> None:
        try:
            if not self.copies.wait():
                self.problem = CHANGED
        except RuntimeError as error:  # of the device
            self.problem = f"copying from the device failed: {error}"
        if self.problem is None:
            self._seal()
        else:
            self._give_up()

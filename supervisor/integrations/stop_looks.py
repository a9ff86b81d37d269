"""When a training has to stop, and whether that is the adapter's to see to at all."""

from __future__ import annotations

from ..worker.environment import number_of, ranks_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..worker.rank import Worker


class StopLooks:
    """A training's looks for a stop."""

    is_supervised: bool
    """False: no supervisor, a helper process, `integrate: none`. The adapter then does nothing."""
    _worker: Worker | None
    _is_stopping = False

    @property
    def may_stop(self) -> bool:
        """False if the script sees to stops: by a SIGTERM handler, or by reading `should_stop`."""
        worker = self._worker
        if worker is None or not self.is_supervised:
            return False
        has_read = getattr(worker, "has_read_should_stop", True)  # an older worker does not know
        return not has_read and worker.handles_stops

    @property
    def is_on_one_node(self) -> bool:
        """Whether all ranks run here. They agree on a step, and have pages, on one node alone."""
        return (number_of("WORLD_SIZE", "SLURM_STEP_NUM_TASKS") or 1) <= ranks_here()

    @property
    def should_stop(self) -> bool:
        """Whether to save and to leave now; once true it stays true. Read it at step boundaries."""
        if not self._is_stopping and self._worker is not None and self.may_stop:
            self._is_stopping = self._worker.look_for_stop()
        return self._is_stopping

    @property
    def is_asked(self) -> bool:
        """Whether this rank was asked to stop. Between steps, where `should_stop` is not read."""
        worker = self._worker
        return worker is not None and self.may_stop and bool(getattr(worker, "is_asked", False))

    def leaves_inside(self, place: int, *, proposes: bool) -> bool:
        """Whether to save and to leave between two steps, at the `place`-th boundary since a step.

        All ranks must come to each of these boundaries, such as the batches of an evaluation.
        `proposes`: this rank was asked to stop, and wants to leave before the next step.
        """
        look = getattr(self._worker, "look_for_stop_inside", None)  # an older worker has none
        return look is not None and self.may_stop and bool(look(place, proposes=proposes))

    @property
    def grace_s(self) -> float:
        """How long after a stop was asked for the process may still live; 0 if not known."""
        return getattr(self._worker, "grace_s", None) or 0.0

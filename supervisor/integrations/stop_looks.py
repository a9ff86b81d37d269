"""When a training has to stop, and whether that is the adapter's to see to at all."""

from __future__ import annotations

import os
import signal

from .attachment import give_signals_back
from .node_agreement import PLACE_BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ..worker.rank import Worker

    class Agreement(Protocol):
        """How the ranks of a training agree on the place at which all of them leave."""

        @property
        def refusal(self) -> str | None:
            """Why no rank takes a stop; None as long as that is not so."""

        def look(self, place: int, *, asks: bool, is_inside: bool, takes: bool) -> bool:
            """Whether this rank leaves at this place."""

        def is_everyone_here(self) -> bool:
            """Whether each rank has an adapter at work; the same for all ranks."""

        def take_none(self) -> None:
            """Leave stops to the script from now on, in all ranks."""

        def close(self) -> None:
            """The training is over."""


def _is_left_to_adapter(worker: Worker) -> bool:
    """Whether the script neither handles the stop signals nor reads `should_stop`."""
    has_read = getattr(worker, "has_read_should_stop", True)  # an older worker does not know
    return not has_read and worker.handles_stops


class StopLooks:
    """A training's looks for a stop."""

    is_supervised: bool
    """False: no supervisor, a helper process, `integrate: none`. The adapter then does nothing."""
    _worker: Worker | None
    _agreement: Agreement | None = None
    """None: there is one rank."""
    _is_stopping = False
    _is_off = False
    _is_refusal_told = False
    _boundary = 0

    @property
    def may_stop(self) -> bool:
        """False if the script sees to stops: by a SIGTERM handler, or by reading `should_stop`."""
        worker = self._worker
        if worker is None or not self.is_supervised or self._is_off:
            return False
        return _is_left_to_adapter(worker)

    @property
    def should_stop(self) -> bool:
        """Whether to save and to leave now; once true it stays true. Read it at step boundaries.

        All ranks of a training have to read it equally often.
        """
        worker = self._worker
        if not self._is_stopping and worker is not None and self.is_supervised:
            if self._agreement is None:
                self._is_stopping = self.may_stop and worker.look_for_stop()
            else:
                self._boundary += 1
                self._is_stopping = self._look(0, asks=self.is_asked, is_inside=False)
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
        if self._worker is None or not self.is_supervised:
            return False
        if self._agreement is None:
            look = getattr(self._worker, "look_for_stop_inside", None)  # an older worker has none
            return look is not None and self.may_stop and bool(look(place, proposes=proposes))
        return self._look(place, asks=proposes, is_inside=True)

    def _look(self, place: int, *, asks: bool, is_inside: bool) -> bool:
        """Look with the other ranks. What they agreed on counts even if this rank's script does."""
        agreement, worker = self._agreement, self._worker
        assert agreement is not None
        assert worker is not None
        placement = getattr(worker, "_placement", None)
        if placement is not None:
            placement.look()
        at = self._boundary << PLACE_BITS | place
        if agreement.look(at, asks=asks, is_inside=is_inside, takes=self.may_stop):
            worker.request_stop()
            return True
        if agreement.refusal is not None and not self._is_off:
            self._leave_to_script(agreement.refusal)
        return False

    def _leave_to_script(self, why: str) -> None:
        """Let a stop have the effect that it has without the adapter, one that came before too."""
        worker = self._worker
        assert worker is not None
        if not self._is_refusal_told:
            self._is_refusal_told = True
            self.tell(f"stops are left to the script: {why}")
        self._give_stops_back(worker)

    def _give_stops_back(self, worker: Worker) -> None:
        is_ours = getattr(worker, "_is_adapters", False) and _is_left_to_adapter(worker)
        if self._is_off or not is_ours:
            return  # the script's own, which knows of the stop
        was_asked = bool(getattr(worker, "is_asked", False))
        self._is_off = True
        give_signals_back(worker, even_if_asked=True)
        if was_asked:
            os.kill(os.getpid(), signal.SIGTERM)

    def _tell_of_stop_at_end(self, spans_nodes: bool) -> None:
        """Tell of a stop that the last step met, so that no place was agreed on before."""
        if spans_nodes and self.is_asked and not self._is_stopping:
            self.tell("the training ended before the ranks agreed on a step to stop at")

    def is_everyone_here(self) -> bool:
        """Whether each rank of this training has an adapter at work.

        It is the same for all ranks, once they have met in a collective since this one began.
        """
        return self._agreement is None or self._agreement.is_everyone_here()

    def take_no_stops(self) -> None:
        """Leave stops to the script from now on: the adapter has failed.

        One that was asked for before ends the process, as it does without the adapter.
        """
        if self._agreement is not None:
            self._agreement.take_none()
        if self._worker is not None:
            self._give_stops_back(self._worker)
        self._is_off = True

    @property
    def grace_s(self) -> float:
        """How long after a stop was asked for the process may still live; 0 if not known."""
        return getattr(self._worker, "grace_s", None) or 0.0

    def tell(self, sentence: str) -> None:
        """Tell the user something, once."""
        raise NotImplementedError

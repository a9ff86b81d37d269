"""All ranks of several nodes go on from one checkpoint, rank 0's, or from none.

Rank 0 offers its choice, each rank answers, and the first verdict in the store counts for all. A
rank that waits in vain makes the verdict "none", so no rank waits for ever. A rank that has said
yes never goes on without the verdict: the others may have resumed.
"""

from __future__ import annotations

import json
import os
from time import monotonic

from .resuming import Resumption
from .world_store import poll, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .world_store import WorldStore

# The ranks need not come to the training at once: one may read a model longer than the others.
# torch's own collectives wait 10 min with NCCL, 30 min with gloo. It is the same for all ranks: the
# verdict of the first that waits in vain counts for all.
PATIENCE_S = 300.0
# For the last calls of the store, once the patience is over.
_SPARE_S = 10.0
_OFFER, _YES, _VERDICT, _GO = "resume/offer", "resume/yes", "resume/verdict", "go"


def agree(
    store: WorldStore,
    own: Resumption,
    why_not: Callable[[str | None], str | None],
    patience_s: float = PATIENCE_S,
) -> Resumption:
    """Return what all ranks do. `own` is this rank's choice; only rank 0's is offered.

    `why_not` says what keeps this rank from going on from a checkpoint. Raises SystemExit if the
    store fails once this rank has said yes.
    """
    talk = _Talk(store, own, why_not, patience_s)
    try:
        return talk.agreed()
    except Exception as error:
        why = f"{type(error).__name__}: {str(error)[:200]}"
        if talk.has_said_yes:
            raise SystemExit(
                "supervisor: this rank ends, for it cannot learn whether the other ranks resume"
                f" from {talk.path}: {why}. Start all ranks again"
            ) from error
        return Resumption(False, remark=_sentence(why))


class _Talk:
    """What one rank says and hears, within one limit of time."""

    def __init__(
        self,
        store: WorldStore,
        own: Resumption,
        why_not: Callable[[str | None], str | None],
        patience_s: float,
    ) -> None:
        self._store, self._own, self._why_not = store, own, why_not
        self._patience_s, self._until = patience_s, monotonic() + patience_s
        self.path: str | None = None
        self.has_said_yes = False

    def agreed(self) -> Resumption:
        """Return what all ranks do. Raises what the store raises, or that it does not answer."""
        store, own = self._store, self._own
        if store.rank == 0:
            obstacle = self._obstacle(own.path) if own.inject else None
            offer = own if obstacle is None else Resumption(False, remark=obstacle)
            self._ask(lambda: store.set(_OFFER, json.dumps([offer.inject, offer.path])))
            if not offer.inject:
                return offer
        text = self._wait(lambda: store.get(_OFFER) or store.get(_VERDICT))
        if text is None or not text.startswith("["):
            late = f"rank 0 has not answered within {self._patience_s:.0f} s"
            return _none(self._decide(late), own.inject)
        inject, self.path = json.loads(text)
        if not inject:
            return Resumption(False, remark=_other(own, "rank 0 begins as the script says"))
        obstacle = self._obstacle(self.path)
        if obstacle is not None:
            return _none(self._decide(f"rank {store.rank}: {obstacle}"), True)
        self.has_said_yes = True  # before it is counted: a call that fails may still arrive
        self._ask(lambda: store.count(_YES, 1))
        late = f"not all ranks have answered within {self._patience_s:.0f} s"
        said = self._wait(self._verdict) or self._decide(late)
        return self._resumption() if said == _GO else _none(said, True)

    def _obstacle(self, path: str | None) -> str | None:
        """What keeps this rank from the checkpoint; a file system that hangs is something, too."""
        left = max(self._until - monotonic(), 0.0)
        found = within(left, lambda: (self._why_not(path),))
        if found is None:
            return f"whether it can go on from {path} was not known in time"
        return found[0]  # type: ignore[no-any-return]

    def _verdict(self) -> str | None:
        if self._store.count(_YES) >= self._store.world_size:
            return self._store.decide(_VERDICT, _GO)
        return self._store.get(_VERDICT)

    def _decide(self, verdict: str) -> str:
        return self._ask(lambda: self._store.decide(_VERDICT, verdict))  # type: ignore[no-any-return]

    def _wait(self, call: Callable[[], str | None]) -> str | None:
        left = max(self._until - monotonic(), 0.0)
        return poll(left, lambda: self._ask(call))  # type: ignore[no-any-return]

    def _ask(self, call: Callable[[], Any]) -> Any:
        """Make calls of the store, and wait until the limit and a little longer."""
        left = max(self._until - monotonic(), 0.0)
        found = within(left + _SPARE_S, lambda: (call(),))
        if found is None:
            raise TimeoutError("torch's store does not answer")
        return found[0]

    def _resumption(self) -> Resumption:
        own, path = self._own, self.path
        is_own = own.path is not None and path is not None and _is_same(own.path, path)
        if is_own or own.path == path:
            return Resumption(True, path, own.remark)
        return Resumption(True, path, f"resumed from {path}, as rank 0 says")


def _is_same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _other(own: Resumption, why: str) -> str | None:
    return _sentence(why) if own.inject else own.remark


def _none(why: str, is_told: bool) -> Resumption:
    return Resumption(False, remark=_sentence(why) if is_told else None)


def _sentence(why: str) -> str:
    return f"all ranks begin as the script says, for they agree on no checkpoint: {why}"

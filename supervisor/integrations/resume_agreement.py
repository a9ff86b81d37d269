"""All ranks of several nodes go on from one checkpoint, rank 0's, or from none.

Rank 0 offers its choice, each rank answers, and the first verdict in the store counts for all. A
rank that waits in vain makes the verdict "none", so no rank waits for ever.
"""

from __future__ import annotations

import json
import os

from .resuming import Resumption
from .world_store import poll, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .world_store import WorldStore

# The ranks need not come to the training at once: one may read a model longer than the others.
# torch's own collectives wait 10 min with NCCL, 30 min with gloo.
PATIENCE_S = 300.0
# A rank that knows of no checkpoint does not expect an offer.
PATIENCE_WITHOUT_S = 60.0
_SPARE_S = 10.0
_OFFER, _YES, _VERDICT, _GO = "resume/offer", "resume/yes", "resume/verdict", "go"


def agree(
    store: WorldStore,
    own: Resumption,
    why_not: Callable[[str | None], str | None],
    patience_s: float,
) -> Resumption:
    """Return what all ranks do. `own` is this rank's choice; only rank 0's is offered.

    `why_not` says what keeps this rank from going on from a checkpoint. Never raises.
    """
    try:
        agreed: Resumption | None = within(
            patience_s + _SPARE_S, lambda: _agree(store, own, why_not, patience_s)
        )
    except Exception as error:
        return Resumption(False, remark=_sentence(f"{type(error).__name__}: {str(error)[:200]}"))
    return agreed or Resumption(False, remark=_sentence("torch's store does not answer"))


def _agree(
    store: WorldStore,
    own: Resumption,
    why_not: Callable[[str | None], str | None],
    patience_s: float,
) -> Resumption:
    if store.rank == 0:
        obstacle = why_not(own.path) if own.inject else None
        offer = own if obstacle is None else Resumption(False, remark=obstacle)
        store.set(_OFFER, json.dumps([offer.inject, offer.path]))
        if not offer.inject:
            return offer
    text = poll(patience_s, lambda: store.get(_OFFER) or store.get(_VERDICT))
    if text is None or not text.startswith("["):
        late = f"rank 0 has not answered within {patience_s:.0f} s"
        return _none(store.decide(_VERDICT, late), own.inject)
    inject, path = json.loads(text)
    if not inject:
        return Resumption(False, remark=_other(own, "rank 0 begins as the script says"))
    obstacle = why_not(path)
    if obstacle is not None:
        return _none(store.decide(_VERDICT, f"rank {store.rank}: {obstacle}"), True)
    store.count(_YES, 1)

    def verdict() -> str | None:
        if store.count(_YES) >= store.world_size:
            return store.decide(_VERDICT, _GO)
        return store.get(_VERDICT)

    late = f"not all ranks have answered within {patience_s:.0f} s"
    said = poll(patience_s, verdict) or store.decide(_VERDICT, late)
    if said != _GO:
        return _none(said, True)
    is_own = own.path is not None and path is not None and _is_same(own.path, path)
    remark = own.remark if own.path == path else f"resumed from {path}, as rank 0 says"
    if is_own:
        remark = own.remark
    return Resumption(True, path, remark)


def _is_same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _other(own: Resumption, why: str) -> str | None:
    return _sentence(why) if own.inject else own.remark


def _none(why: str, is_told: bool) -> Resumption:
    return Resumption(False, remark=_sentence(why) if is_told else None)


def _sentence(why: str) -> str:
    return f"all ranks begin as the script says, for they agree on no checkpoint: {why}"

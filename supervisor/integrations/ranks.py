"""How the ranks of a training meet: by a page on one node, by torch's own store on several."""

from __future__ import annotations

import os
from typing import NamedTuple

from ..worker.environment import is_spawn_import, number_of, ranks_here
from .node_agreement import NoAgreement, NodeAgreement
from .store_agreement import StoreAgreement
from .world_store import WorldStore, open_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..worker.rank import Worker
    from .stop_looks import Agreement


class RankMeeting(NamedTuple):
    """What joins this rank to the others; all empty where it is the only one."""

    spans_nodes: bool = False
    agreement: Agreement | None = None
    store: WorldStore | str | None = None
    """On several nodes: the store, or why there is none."""


def world_size() -> int:
    """How many ranks there are, by the environment."""
    return number_of("WORLD_SIZE", "SLURM_STEP_NUM_TASKS") or 1


def meet(number: int, *, has_page: bool, takes: bool) -> RankMeeting:
    """Join the other ranks of the process's training of this number.

    `takes`: this rank takes stops, as far as is known. Never raises, and waits 10 s at most.
    """
    size = world_size()
    if size <= 1:
        return RankMeeting()
    if size > ranks_here():
        store = open_store(number_of("RANK", "SLURM_PROCID") or 0, size, str(number))
        if isinstance(store, str):
            return RankMeeting(True, NoAgreement(store), store)
        return RankMeeting(True, StoreAgreement(store, takes=takes, tells=has_page), store)
    if not has_page:
        return RankMeeting(False, NoAgreement("this rank has no page"))
    # torchrun starts its ranks again within one attempt.
    again = number_of("TORCHELASTIC_RESTART_COUNT") or 0
    name = f"leave-{number_of('SUPERVISOR_ATTEMPT') or 0}-{again}-{number}"
    local_rank = number_of("LOCAL_RANK", "SLURM_LOCALID") or 0
    try:
        path = os.path.join(os.environ["SUPERVISOR_HEARTBEAT"], name)
        return RankMeeting(False, NodeAgreement(path, local_rank, size, takes=takes))
    except OSError as error:
        return RankMeeting(
            False, NoAgreement(f"there is no page for the ranks' agreement ({error})")
        )


def is_rank_without_page(worker: Worker) -> bool:
    """Whether this is one of several ranks, which found no room or no directory for its page.

    What adapters do has to be done by all ranks.
    """
    is_helper = getattr(worker, "is_bystander", True) or is_spawn_import()
    return world_size() > 1 and not is_helper

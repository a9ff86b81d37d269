"""What the ranks of a fit of Lightning do together: their world, and their random states at a save.

A rank that is left out of a collective would wait for ever, so whether there is one is the same for
all ranks.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .training import Training

# Each rank has about 64 KiB. Up to here every rank gets all states, above it rank 0 alone, which
# writes the checkpoint.
_FEW_RANKS = 64
_MOST_RANKS = 4096


def bring_world_up(trainer: Any) -> None:
    """On several nodes, begin the library's process group now, as the library does moments later.

    Before the fit begins the ranks have to agree on a checkpoint. Raises what the library raises.
    """
    import torch.distributed

    if trainer.world_size <= trainer.num_devices or torch.distributed.is_initialized():
        return
    strategy = trainer.strategy
    if hasattr(strategy, "setup_distributed") and "ddp" in type(strategy).__module__:
        strategy.accelerator.setup_device(strategy.root_device)
        strategy.setup_distributed()
        return
    module = sys.modules[type(strategy).__module__]
    connect = getattr(module, "_init_dist_connection", None)
    backend = getattr(strategy, "_get_process_group_backend", None)
    if connect is not None and backend is not None and hasattr(strategy, "_timeout"):
        strategy.accelerator.setup_device(strategy.root_device)
        more = {"timeout": strategy._timeout}
        if getattr(module, "_TORCH_GREATER_EQUAL_2_3", False):  # so do the library's own calls
            device = strategy.root_device
            more["device_id"] = device if device.type != "cpu" else None
        connect(strategy.cluster_environment, backend(), **more)


class RankStates:
    """The random states of all ranks, which they exchange at each save."""

    def __init__(self, training: Training, rank: int, world_size: int) -> None:
        self._training = training
        self._rank, self._world_size = rank, world_size
        self._are_exchanged: bool | None = None

    def of_all(self, mine: Any) -> list[Any]:
        """Return what each rank gives here, None from a rank that failed; else `mine` alone.

        It is called inside a save, where all ranks meet at a barrier anyway.
        """
        if self._world_size == 1:
            return [mine]
        if self._are_exchanged is None:
            self._are_exchanged = self._can_exchange()
        if not self._are_exchanged:
            return [mine]
        import torch.distributed

        states: list[Any] = [None] * self._world_size
        if self._world_size <= _FEW_RANKS:
            torch.distributed.all_gather_object(states, mine)
            return states
        torch.distributed.gather_object(mine, states if self._rank == 0 else None, dst=0)
        return states if self._rank == 0 else [mine]

    def _can_exchange(self) -> bool:
        import torch.distributed

        lost = "a resume restores rank 0's random state alone: "
        if self._world_size > _MOST_RANKS:
            self._training.tell(f"{lost}there are more than {_MOST_RANKS} ranks")
            return False
        if not torch.distributed.is_available() or not torch.distributed.is_initialized():
            return False
        if torch.distributed.get_world_size() != self._world_size:
            return False
        if not self._training.is_everyone_here():
            self._training.tell(f"{lost}not every rank has a page and an adapter")
            return False
        return True

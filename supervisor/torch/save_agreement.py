"""When all ranks have to take part in a save: they learn from the first rank that one is due.

A loop in which rank 0 alone saves what it has needs none of this. Where a state has to be gathered
first, each rank has to know.
"""

import torch
import torch.distributed as dist

from supervisor.torch.checkpointer import Checkpointer


class SaveAgreement:
    """One rank's part. The rank with the `Checkpointer` has to be the group's first.

    `group` None: all ranks. Without torch.distributed this process is the only rank.
    """

    def __init__(
        self, checkpointer: Checkpointer | None, group: "dist.ProcessGroup | None" = None
    ) -> None:
        """`checkpointer`: None on all ranks but the first. Raises ValueError if it is elsewhere."""
        self._checkpointer = checkpointer
        self._group = group
        self._is_alone = not (dist.is_available() and dist.is_initialized())
        is_first = self._is_alone or dist.get_rank(group) == 0
        if is_first != (checkpointer is not None):
            raise ValueError("the group's first rank has the Checkpointer, and no other rank has")
        if checkpointer is not None:
            checkpointer.join_agreement()
        self._last: int | None = None
        self._look_at: int | None = None

    def is_due(self, step: int) -> bool:
        """Whether to save after this step, the same on all ranks; ask once a step.

        The ranks exchange two numbers at the first step, and then each time that half of the way to
        the next save is over, and at least each hundred steps. Where the steps begin again (another
        stage), they do so at once.
        """
        if self._last is not None and step < self._last:
            self._look_at = None
        self._last = step
        mine = self._checkpointer
        is_due = mine is not None and mine.is_save_due(step)
        if self._look_at is not None and step < self._look_at:
            return False
        ahead = 1 if mine is None else mine.steps_to_look(step, is_due=is_due)
        if not self._is_alone:
            is_due, ahead = self._heard(is_due=is_due, ahead=ahead)
        self._look_at = step + ahead
        return is_due

    def _heard(self, *, is_due: bool, ahead: int) -> tuple[bool, int]:
        kind = device_kind(dist.get_backend_config(self._group))
        first = 0 if self._group is None else dist.get_global_rank(self._group, 0)
        word = torch.tensor([int(is_due), ahead], dtype=torch.int64, device=kind)
        dist.broadcast(word, src=first, group=self._group)
        said = word.tolist()
        return bool(said[0]), int(said[1])


def device_kind(backends: str) -> str:
    """The kind of device whose tensors a group takes: `cpu` if it does, else its first one.

    `backends`: of each kind, as in `cpu:gloo,cuda:nccl`.
    """
    kinds = [one.partition(":")[0] for one in backends.split(",")]
    return "cpu" if "cpu" in kinds else kinds[0]

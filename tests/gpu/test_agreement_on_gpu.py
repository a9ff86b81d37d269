"""Ranks of a group that takes tensors on a GPU alone agree on their saves."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from supervisor.torch import Checkpointer, SaveAgreement

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("backend", ["nccl", "cuda:nccl", "cpu:gloo,cuda:nccl"])
def test_the_word_is_on_a_device_that_the_backend_takes(tmp_path: Path, backend: str) -> None:
    """NCCL has no way for a tensor in the host's memory, however it is named."""
    dist.init_process_group(backend, init_method=f"file://{tmp_path}/s", rank=0, world_size=1)
    try:
        model = torch.nn.Linear(4, 4).cuda()
        with Checkpointer({"model.pt": model}, directory=tmp_path / "out", save_steps=5) as keep:
            saves = SaveAgreement(keep)
            assert [step for step in range(1, 11) if saves.is_due(step)] == [5, 10]
    finally:
        dist.destroy_process_group()

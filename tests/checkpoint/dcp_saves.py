"""Save with torch.distributed.checkpoint: `python -m tests.checkpoint.dcp_saves FOLDER`.

`two`: two ranks, each with its part. `idle`: two ranks, one of which has nothing to write.
`threads`: one process with two files. `later`: as `threads`, a save with other values. `each`: a
file for each tensor. `safetensors`: DCP's other format. `own`: saved without collectives, with a
`.metadata` for each rank.
"""

import sys
import warnings
from pathlib import Path


def _state(factor: float) -> dict[str, object]:
    import torch

    return {
        "model": {"w": torch.arange(64.0).reshape(8, 8) * factor, "b": torch.ones(3)},
        "optimizer": {"m": torch.ones(6, 4, dtype=torch.bfloat16), "lr": 0.1 * factor},
        "empty": torch.empty(0),
        "step": 5,
    }


def _rank(rank: int, folder: str) -> None:
    """Save as one of two ranks."""
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    warnings.simplefilter("ignore")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    state = _state(1)
    dcp.save({"w": state["model"]["w"]}, checkpoint_id=f"{folder}/idle")  # type: ignore[index]
    mesh = init_device_mesh("cpu", (2,))
    state["model"]["w"] = distribute_tensor(  # type: ignore[index]
        state["model"]["w"],  # type: ignore[index]
        mesh,
        [Shard(0)],
    )
    dcp.save(state, checkpoint_id=f"{folder}/two")
    dcp.save(state, checkpoint_id=f"{folder}/own", use_collectives=False)
    dist.destroy_process_group()


def main(folder: Path) -> None:
    """Make all saves."""
    import torch.distributed.checkpoint as dcp
    import torch.multiprocessing as processes
    from torch.distributed.checkpoint.filesystem import FileSystemWriter, SerializationFormat

    warnings.simplefilter("ignore")
    # The forked ranks run first: torch has started no thread yet, and importing it again takes
    # seconds.
    processes.start_processes(_rank, (str(folder),), nprocs=2, start_method="fork")
    for name, options in {
        "threads": {"thread_count": 2},
        "each": {"single_file_per_rank": False},
        "safetensors": {"serialization_format": SerializationFormat.SAFETENSORS},
    }.items():
        writer = FileSystemWriter(folder / name, **options)  # type: ignore[arg-type]
        dcp.save(_state(1), storage_writer=writer, no_dist=True)
    dcp.save(_state(2), storage_writer=FileSystemWriter(folder / "later", thread_count=2),
             no_dist=True)  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))

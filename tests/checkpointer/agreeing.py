"""One of two ranks that train together and save by an agreement; prints what it did as JSON."""

import json
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from supervisor.torch import Checkpointer, SaveAgreement


def main(rank: int, out: Path, backend: str) -> None:
    """Train 300 steps; rank 0 is now slow, now quick, and only its clock counts."""
    dist.init_process_group(backend, init_method=f"file://{out}.store", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    words = 0
    broadcast = dist.broadcast

    def counted(*args: object, **options: object) -> object:
        nonlocal words
        words += 1
        return broadcast(*args, **options)  # type: ignore[arg-type]

    dist.broadcast = counted  # type: ignore[assignment]
    sources = {"model.pt": model, "optimizer.pt": optimizer}
    keep = Checkpointer(sources, directory=out, snapshot_steps=0) if rank == 0 else None
    saves = SaveAgreement(keep)
    due, gathered = [], []
    for step in range(1, 301):
        loss = model(torch.full((2, 8), rank + step / 100)).square().mean()
        loss.backward()
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)
        optimizer.step()
        optimizer.zero_grad()
        time.sleep(0.0 if rank else 0.001 * (step % 3))
        if saves.is_due(step):
            due.append(step)
            mine = torch.tensor([float(step)])
            dist.all_reduce(mine)  # a state that all ranks have to gather
            gathered.append(mine.item())
            if keep is not None:
                keep.save(step, state={"gathered": mine.item()})
    if keep is not None:
        keep.drain()
        keep.close()
    print(json.dumps({"due": due, "gathered": gathered, "words": words}))
    dist.destroy_process_group()


main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])

"""Two gloo ranks under torchrun: they all-reduce each step, save on an agreed step, exit 75.

At step 20 they wait until the file GATE exists.
"""

import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from supervisor.worker import attach

run = attach()
dist.init_process_group("gloo")
rank = dist.get_rank()
weight, first = torch.ones(4), 1
if run.resume_from is not None:
    saved = torch.load(run.resume_from / "model.pt", weights_only=True)
    weight, first = saved["weight"], saved["step"] + 1
for step in range(first, 61):
    gradient = torch.full((4,), float(rank + step))
    dist.all_reduce(gradient)
    weight = weight * 0.5 + gradient
    time.sleep(0.1)
    run.beat(step=step)
    while step == 20 and not os.path.exists(os.environ["GATE"]):
        time.sleep(0.05)
        run.beat(step=step)
    print(f"[{rank}] step {step}", flush=True)
    if run.should_stop:
        folder = Path(sys.argv[1]) / f"checkpoint-{step}"
        if rank == 0:
            folder.mkdir()
            torch.save({"weight": weight, "step": step}, folder / "model.pt")
        dist.barrier()
        time.sleep(1.0)  # torchrun's own 30 s, or a launcher that dies, would show here
        run.exit_preempted(checkpoint=folder, step=step)
if rank == 0:
    (Path(sys.argv[1]) / "final.json").write_text(json.dumps(weight.tolist()))
run.finish()
dist.destroy_process_group()

"""A script in the form of PyTorch's own FSDP2 examples: `fully_shard`, saves by DCP, on CPU.

`--asynchronous` saves beside the training.
"""

import argparse
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

parser = argparse.ArgumentParser()
parser.add_argument("--ckpt_dir", type=Path, default=Path("checkpoints"))
parser.add_argument("--steps", type=int, default=160)
parser.add_argument("--save_every", type=int, default=5)
parser.add_argument("--asynchronous", action="store_true")
parser.add_argument("--resume")
args = parser.parse_args()

dist.init_process_group("cpu:gloo")
mesh = init_device_mesh("cpu", (dist.get_world_size(),))
torch.manual_seed(0)
# A save beside the training must not use the training's own connections.
saving = dist.new_group(backend="gloo")
model = torch.nn.Sequential(
    torch.nn.Linear(16, 64), torch.nn.Dropout(0.1), torch.nn.ReLU(), torch.nn.Linear(64, 16)
)
for layer in (model[0], model[3]):
    fully_shard(layer, mesh=mesh)
fully_shard(model, mesh=mesh)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
first = 0
if args.resume:
    weights, moments = get_state_dict(model, optimizer)
    state = {"model": weights, "optimizer": moments, "step": 0}
    dcp.load(state, checkpoint_id=args.resume)
    set_state_dict(
        model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"]
    )
    first = state["step"]
    if dist.get_rank() == 0:
        print(f"resumed from step {first}", flush=True)

pending = None
for step in range(first + 1, args.steps + 1):
    generator = torch.Generator().manual_seed(1000 * step + dist.get_rank())
    torch.manual_seed(1000 * step + dist.get_rank())
    batch = torch.randn(8, 16, generator=generator)
    loss = (model(batch) - batch.flip(1)).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    time.sleep(float(os.environ.get("STEP_S", "0")))
    if dist.get_rank() == 0:
        print(f"step {step}/{args.steps} loss {loss.item():.4f}", flush=True)
    if step % args.save_every == 0:
        weights, moments = get_state_dict(model, optimizer)
        state = {"model": weights, "optimizer": moments, "step": step}
        where = args.ckpt_dir / f"step-{step}"
        if pending is not None:
            pending.result()
        if args.asynchronous:
            pending = dcp.async_save(state, checkpoint_id=where, process_group=saving)
        else:
            dcp.save(state, checkpoint_id=where)
if pending is not None:
    pending.result()
dist.destroy_process_group()

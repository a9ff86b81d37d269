"""A script in the form of DeepSpeed's getting-started: ZeRO 2, `load_checkpoint` of the newest."""

import os
import time

import deepspeed
import torch

STEPS = 160
settings = {
    "train_micro_batch_size_per_gpu": 4,
    "zero_optimization": {"stage": 2},
}
# DeepSpeed would compile an extension for gloo at its first start, for a minute.
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
deepspeed.init_distributed("gloo")
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 16))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
engine, *_ = deepspeed.initialize(model=model, config=settings, optimizer=optimizer)
_, extra = engine.load_checkpoint("saves")
first = 0 if extra is None else extra["step"]
rank = torch.distributed.get_rank()
for step in range(first + 1, STEPS + 1):
    batch = torch.randn(4, 16, generator=torch.Generator().manual_seed(1000 * step + rank))
    loss = (engine(batch) - batch.flip(1)).square().mean()
    engine.backward(loss)
    engine.step()
    time.sleep(float(os.environ.get("STEP_S", "0")))
    if rank == 0:
        print(f"step {step}/{STEPS} loss {loss.item():.4f}", flush=True)
    if step % 5 == 0:
        engine.save_checkpoint("saves", client_state={"step": step})

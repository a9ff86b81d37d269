"""A plain PyTorch script that uses only `supervisor.worker`; the test sets FAULTS."""

import os
import signal
import sys
import time
from pathlib import Path

import torch

from supervisor.worker import attach

run = attach()
torch.manual_seed(0)
model = torch.nn.Linear(8, 8)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
first = 0
if run.resume_from:
    state = torch.load(run.resume_from, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    first = state["step"]


def save(step: int) -> Path:
    path = Path("saves") / f"step-{step}.pt"
    path.parent.mkdir(exist_ok=True)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, "saves/new.tmp")
    return Path("saves/new.tmp").replace(path)


faults = {"1": (25, "kill"), "2": (35, "hang")}
fault = faults.get(os.environ.get("SUPERVISOR_ATTEMPT", "")) if "FAULTS" in os.environ else None
for step in range(first + 1, 181):
    inputs = torch.randn(16, 8, generator=torch.Generator().manual_seed(step))
    optimizer.zero_grad()
    model(inputs).square().mean().backward()
    optimizer.step()
    time.sleep(0.05)
    run.beat(step=step)
    if step % 10 == 0:
        save(step)
    if run.should_stop:
        run.exit_preempted(checkpoint=save(step), step=step)
    match fault:
        case (at, "kill") if at == step:
            os.kill(os.getpid(), signal.SIGKILL)
        case (at, "hang") if at == step:
            while not run.should_stop:
                time.sleep(1)
            sys.exit(1)
torch.save(model.state_dict(), "final.pt")

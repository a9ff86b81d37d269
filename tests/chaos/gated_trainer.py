"""A real trainer under a real supervisor: it saves when a byte comes through GATE, and trains on.

It saves at each EVERY-th step, and takes a snapshot after the other steps. After the last of STEPS
it writes the digest of its state into `digest`.
"""

import os
from pathlib import Path

import torch

from supervisor.torch import Checkpointer
from supervisor.worker import attach
from tests.chaos.trainee import Trainee

torch.set_num_threads(1)
STEPS, EVERY = int(os.environ["STEPS"]), int(os.environ["EVERY"])
run = attach()
out = Path(os.environ["SUPERVISOR_RUN_DIR"])
gate = os.open(os.environ["GATE"], os.O_RDONLY)
trainee = Trainee()
if run.resume_from is not None:
    trainee.restore(run.resume_from)
print(f"attempt {run.attempt} begins after step {trainee.step}", flush=True)
with Checkpointer(trainee.sources, directory=out, run=run, snapshot_steps=1) as keep:
    while trainee.step < STEPS:
        step = trainee.step + 1
        trainee.train(step)
        run.beat(step=step)
        if step % EVERY == 0:
            os.read(gate, 1)
            keep.save(step)
        else:
            keep.snapshot(step)
        for saved in keep.news():
            print(f"step {saved.step}: {saved.outcome} {saved.error or ''}", flush=True)
    path = keep.save(STEPS, kind="final", wait=True)
    print(path, flush=True)
(out / "digest").write_text(trainee.digest())
run.finish(checkpoint=out / f"checkpoint-{STEPS}", step=STEPS)

"""A trainer that says how often it saves, as an adapter does; it saves each 50 steps.

SAVE_EVERY, STOP: what it says. KILL_AT: the step at which the first attempt kills itself.
"""

import os
import signal
import time
from pathlib import Path

from supervisor.worker import attach

run = attach()
out = Path("out")
out.mkdir(exist_ok=True)
step = 0 if run.resume_from is None else int(str(run.resume_from).rpartition("-")[2])
run.description.merge(
    framework="huggingface 5.24.0",
    checkpoint_dir=str(out.absolute()),
    total_steps=10_000,
    save_every=int(os.environ["SAVE_EVERY"]),
    not_restored=["the order of its jokes"],
    stop=os.environ.get("STOP", "saves"),
)
while not run.should_stop:
    step += 1
    time.sleep(0.05)
    run.beat(step)
    if step == int(os.environ["KILL_AT"]) and run.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if step % 50 == 0:
        with run.phase("save"):
            time.sleep(0.3)
            place = out / f".checkpoint-{step}"
            place.mkdir()
            (place / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
            (place / "optimizer.pt").write_bytes(b"")
            place.rename(out / f"checkpoint-{step}")
run.exit_preempted(None, step)

"""A script that holds at step 10 of each attempt until it is killed or the file `on` exists.

Its checkpoints are safetensors files without tensors; `heavy` is an installed package.
"""

import json
import os
import sys
import time
from pathlib import Path

match sys.argv[1:]:
    case ["stub"]:
        sys.modules["accelerator"] = None  # type: ignore[assignment]
    case ["cold only"] if "heavy" in sys.modules:
        raise RuntimeError("context has already been set")
    case ["threads"]:
        os.environ["OMP_NUM_THREADS"] = "3"

import heavy

from supervisor.worker import attach

run = attach()
total = 0
if run.resume_from is not None:
    raw = run.resume_from.read_bytes()
    total = int(json.loads(raw[8:])["__metadata__"]["total"])
first = total // 10
print(f"attempt {run.attempt} with {heavy.VALUE}", flush=True)
for step in range(first + 1, first + 21):
    time.sleep(0.01)
    total += 10
    run.beat(step=step)
    if step == first + 10:
        head = json.dumps({"__metadata__": {"total": str(total)}}).encode()
        Path("saves").mkdir(exist_ok=True)
        Path("saves/new.tmp").write_bytes(len(head).to_bytes(8, "little") + head)
        Path("saves/new.tmp").replace(f"saves/step-{step}.safetensors")
        while not Path("on").exists():
            if run.should_stop:
                run.exit_preempted(step=step)
            time.sleep(0.02)
            run.beat(step=step)
print(f"total {total}", flush=True)

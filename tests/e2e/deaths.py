"""A small training without a helper that dies in its first attempt the way its argument says.

It prints steps as scripts do and has no checkpoints. A later attempt waits for the file GATE, and
then finishes. Under torchrun each process is a rank (gloo).
"""

import ctypes
import datetime
import os
import resource
import signal
import sys
import time
from pathlib import Path

KIND = sys.argv[1]
DIES = os.environ["SUPERVISOR_ATTEMPT"] == "1"
GATE = Path(os.environ["GATE"])
STEPS = 60
DEATH_STEP = 55

DEVICE_ASSERT = """\
/pytorch/aten/src/ATen/native/cuda/Indexing.cu:1553: indexSelectLargeIndex: block: [{block},0,0], \
thread: [{thread},0,0] Assertion `srcIndex < srcSelectDimSize` failed.
"""
DEVICE_ASSERT_END = """\
Traceback (most recent call last):
  File "/job/train.py", line 130, in <module>
    train()
  File "/job/train.py", line 88, in train
    hidden = self.embed(tokens)
  File "/opt/lib/python3.11/site-packages/torch/nn/functional.py", line 2551, in embedding
    return torch.embedding(weight, input, padding_idx, scale_grad_by_freq, sparse)
torch.AcceleratorError: CUDA error: device-side assert triggered
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace \
below might be incorrect.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
"""


def save(size_bytes: int = 1 << 20) -> None:
    """Write a file of its own into the directory that OUTPUT names."""
    with Path(os.environ["OUTPUT"], "weights.bin").open("ab", buffering=0) as file:
        file.write(b"\0" * size_bytes)
        os.fsync(file.fileno())


def die(kind: str) -> None:
    """Do what the first attempt dies of."""
    match kind:
        case "segfault":
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            ctypes.string_at(0)
        case "import":
            import a_module_that_nobody_has  # noqa: F401
        case "device assert":
            for thread in range(64):
                sys.stderr.write(DEVICE_ASSERT.format(block=thread * 3, thread=thread))
            sys.stderr.write(DEVICE_ASSERT_END)
            sys.exit(1)
        case "hungry":
            taken = []
            while True:
                taken.append(b"\1" * (8 << 20))
        case "full":
            while True:
                save()


def ranks(kind: str) -> None:
    """Steps with an all_reduce each; then two ranks that wait for each other, or one is killed."""
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=90))
    rank, value = dist.get_rank(), torch.ones(4)
    for step in range(1, 11):
        dist.all_reduce(value)
        if rank == 0:
            print(f"step {step} loss 2.1", flush=True)
    if DIES and kind == "deadlock":
        # Only both ranks' wait for each other has a short limit: imports may take that long.
        both = dist.new_group(timeout=datetime.timedelta(seconds=4))
        dist.recv(value, src=1 - rank, group=both)
    if DIES and kind == "killed rank" and rank == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.all_reduce(value)
    dist.destroy_process_group()


while not DIES and not GATE.exists():
    time.sleep(0.02)
if KIND in {"deadlock", "killed rank"}:
    ranks(KIND)
else:
    for step in range(1, STEPS + 1):
        time.sleep(0.005)
        print(f"step {step} loss {2 + 1 / step:.3f}", flush=True)
        if DIES and step == DEATH_STEP:
            die(KIND)

"""Long logs, made for the clock: one whose end says all, and one that has to be read through."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_BLOCK_BYTES = 8_000_000
_HERE = b"@@@@"
_CAUSE = b"""[rank3]: Traceback (most recent call last):
[rank3]:   File "/data/jobs/7/train.py", line 211, in train_step
[rank3]:     loss.backward()
[rank3]: torch.AcceleratorError: CUDA error: an illegal memory access was encountered
[rank3]: CUDA kernel errors might be asynchronously reported at some other API call, so the stack
"""
_PEER = (
    b"[rank%d]:[E402 05:44:30.118 ProcessGroupNCCL.cpp:695] [Rank %d] To avoid data inconsistency,"
    b" we are taking the entire process down.\n"
)
CAUSE = "cuda_fault"
_PEERS = 2000
_NO_STEPS = (
    b"node-b04:7133:7201 [0] NCCL INFO Channel %02d : 3[3] -> 4[4] [send] via NET/IB/0/GDRDMA\n"
    b'DEBUG:urllib3.connectionpool:https://hub.example:443 "HEAD /shard-%02d.tar HTTP/1.1" 200 0\n'
    b"dataset: prefetched shard-%02d.tar into the cache, 812 of 4096 files are warm\n"
    b"[rank0]:[W402 02:11:02.744190 Utils.hpp:%02d] Warning: option is deprecated (operator)\n"
)


def write_long(path: Path, size_bytes: int) -> None:
    """Steps for `size_bytes`, then the cause, then peers that are taken down by it."""
    line = (
        b"step "
        + _HERE
        + b"%05d | loss 2.%05d | grad_norm 0.41 | lr 2.9e-04 | 41 it/s | eta 2:10:44\n"
    )
    each = len(line % (0, 0))
    block = b"".join(line % (n, n) for n in range(min(size_bytes, _BLOCK_BYTES) // each))
    with path.open("wb") as stream:
        for n in range(max(1, size_bytes // len(block))):
            stream.write(block.replace(_HERE, b"%04d" % n))
        stream.write(_CAUSE)
        stream.writelines(_PEER % (n % 64, n % 64) for n in range(_PEERS))


def write_without_steps(path: Path, size_bytes: int) -> None:
    """The cause near the beginning, and behind it ordinary lines, none of which is a step."""
    block = b"".join(_NO_STEPS % (n % 90, n % 90, n % 90, n % 90) for n in range(2000))
    with path.open("wb") as stream:
        stream.write(block[: len(block) // 20].rpartition(b"\n")[0] + b"\n" + _CAUSE)
        for _ in range(max(1, size_bytes // len(block))):
            stream.write(block)


def tac(path: Path) -> None:
    """What `tac` takes to turn the file around; Python reads what it prints."""
    subprocess.run(["tac", str(path)], stdout=subprocess.DEVNULL, check=True)


def read_lines(path: Path) -> None:
    """What Python takes to read every line of the file, and to do nothing with it."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        for _ in stream:
            pass


def seconds(work: Callable[[Path], object], path: Path) -> float:
    """How long one pass takes; the file was just written, or just read by the one before."""
    began = time.perf_counter()
    work(path)
    return time.perf_counter() - began

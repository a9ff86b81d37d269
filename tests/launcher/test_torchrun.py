"""A stop under torchrun: both gloo ranks save, however torchrun handles the signal."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.launcher.conftest import Rig


@pytest.mark.timeout(400)
def test_torchrun_with_two_gloo_ranks_saves(rig: Rig) -> None:
    """torchrun passes the stop on; its shutdown time-out is long enough for both ranks to save."""
    pytest.importorskip("torch")
    script = rig.script(
        "ranks.py",
        """\
import os, signal, time
import torch, torch.distributed as dist
stop = []
signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
dist.init_process_group("gloo")
rank = dist.get_rank()
open(f"rank{rank}.ready", "w").write(str(os.getpid()))
wish = torch.zeros(1)
while not wish.item():
    time.sleep(0.02)
    wish.fill_(float(bool(stop)))
    dist.all_reduce(wish, op=dist.ReduceOp.MAX)
time.sleep(1.0)
open(f"rank{rank}.saved", "w").write(str(len(stop)))
dist.destroy_process_group()
raise SystemExit(75)
""",
    )
    rig.start()
    daemon = rig.daemon()
    env = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "60", "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    rig.launch(daemon, *torchrun, script, env=env)
    for rank in ("rank0", "rank1"):
        rig.wait_until(lambda r=rank: (rig.folder / f"{r}.ready").exists(), rank, 90)
    daemon.send("stop", attempt=1, signal=15)
    exited = daemon.expect("exited", timeout_s=60)
    assert [(rig.folder / f"rank{rank}.saved").exists() for rank in (0, 1)] == [True, True]
    # torchrun exits with 1 (or its signal) for any exit code of its workers: so there are outcomes.
    assert exited["code"] != 75


@pytest.mark.timeout(400)
def test_ranks_of_a_torchrun_that_dies_of_the_stop_get_it_and_the_time(rig: Rig) -> None:
    """SIGUSR1 ends torchrun at once; its ranks, in sessions of their own, are told and save."""
    pytest.importorskip("torch")
    script = rig.script(
        "ranks.py",
        """\
import os, signal, time
stop = []
signal.signal(signal.SIGUSR1, lambda number, frame: stop.append(number))
rank = os.environ["LOCAL_RANK"]
open(f"rank{rank}.ready", "w").write(str(os.getpid()))
while not stop:
    time.sleep(0.02)
time.sleep(1.0)
open(f"rank{rank}.saved", "w").write(str(len(stop)))
""",
    )
    rig.start()
    daemon = rig.daemon()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    rig.launch(daemon, *torchrun, script, env={"OMP_NUM_THREADS": "1"})
    for rank in ("rank0", "rank1"):
        rig.wait_until(lambda r=rank: (rig.folder / f"{r}.ready").exists(), rank, 90)
    daemon.send("stop", attempt=1, signal=int(signal.SIGUSR1))
    assert daemon.expect("main_exited")["signal"] == signal.SIGUSR1
    exited = daemon.expect("exited")
    assert exited["leftovers"] == 0
    for rank in ("rank0", "rank1"):
        assert (rig.folder / f"{rank}.saved").read_text() == "1"


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
SHAPES = {
    "main": [],
    "under a shell": ["bash", "-c", '"$0" "$@"; touch next'],
    "under timeout": ["timeout", "1h"],
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("wrapper", SHAPES.values(), ids=SHAPES)
def test_no_attached_rank_is_started_again(rig: Rig, wrapper: list[str]) -> None:
    """torchrun is told first: it would restart a rank that ends before."""
    pytest.importorskip("torch")
    script = rig.script(
        "ranks.py",
        """\
import os, time
from supervisor.worker import attach
run, rank, step = attach(), os.environ["LOCAL_RANK"], 0
with open(f"rank{rank}.ready", "a") as file:
    file.write("started ")
while not run.should_stop:
    step += 1
    time.sleep(0.02)
    run.beat(step=step)
time.sleep(2.0 if rank == "0" else 0.0)
open(f"rank{rank}.saved", "w").close()
run.exit_preempted(step=step)
""",
    )
    (rig.folder / "hearts").mkdir()
    rig.start()
    daemon = rig.daemon()
    env = {
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "60",
        "OMP_NUM_THREADS": "1",
        "SUPERVISOR_HEARTBEAT": str(rig.folder / "hearts"),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    rig.launch(daemon, *wrapper, *TORCHRUN, "--max-restarts=3", script, env=env)
    for rank in ("rank0", "rank1"):
        page = rig.folder / "hearts" / f"rank-{rank[-1]}"
        rig.wait_until(lambda p=page: p.exists() and p.read_bytes()[47], rank, 90)
    daemon.send("stop", attempt=1, signal=15, grace_s=60.0)
    daemon.expect("exited", timeout_s=60)
    for rank in ("rank0", "rank1"):
        assert (rig.folder / f"{rank}.ready").read_text() == "started "
        assert (rig.folder / f"{rank}.saved").exists()
    assert not (rig.folder / "next").exists()
    said = rig.log.read_text()
    assert said.index("death signal") < said.index("closing signal"), "it was told first"

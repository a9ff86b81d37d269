"""Loops of PyTorch as they stand, with the start-up hook: what signs of life do for them."""

import signal
import sys

import pytest

from tests.e2e.conftest import Supervised

pytest.importorskip("supervisor.integrations.torch_loop")
pytestmark = pytest.mark.timeout(600)
# A busy machine imports torch for half a minute.
PATIENT_S = 240.0
LOOP = """
import os, signal, sys, threading, time
from pathlib import Path

import torch

model = torch.nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
step = int(Path(sys.argv[2]).stem.partition("-")[2]) if "--resume" in sys.argv else 0
out, fault = Path(os.environ["OUT"]), os.environ["FAULT"]
while step < int(os.environ["LAST"]):
    step += 1
    optimizer.zero_grad()
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    time.sleep(0.05)
    if step % int(os.environ["EVERY"]) == 0:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, "new.tmp")
        Path("new.tmp").replace(out / f"step-{step}.pt")
        print("saved", flush=True)
    if step == 50 and os.environ["SUPERVISOR_ATTEMPT"] == "1":
        if fault == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        if fault == "deadlock":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
"""


def configure(run: Supervised, *, shell: bool = False, **env: object) -> None:
    """The loop, with what it is to do in its environment. `shell`: below a shell that waits."""
    path = run.folder / "loop.py"
    path.write_text(LOOP)
    facts = {"OUT": run.run_dir, "FAULT": "", "LAST": 10**6, "EVERY": 20, **env}
    command = [sys.executable, str(path)]
    run.configure(
        command=["sh", "-c", f"{' '.join(command)}; true"] if shell else command,
        watch={"heartbeat_timeout": "5s"},
        resume={"args": ["--resume", "{checkpoint}"]},
        grace="60s",
        env=facts,
    )


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["stopped", "deadlock"])
def test_a_loop_that_stands_still_is_relaunched(run: Supervised, fault: str) -> None:
    """The next attempt goes on from the last save, and comes to its end."""
    configure(run, FAULT=fault, LAST=80)
    run.start()
    assert run.finish(PATIENT_S) == 0
    failures = [entry["failure"] for entry in run.entries("attempt_ended")]
    assert failures == ["hang", "completed"]
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == 40


@pytest.mark.slow
@pytest.mark.parametrize("shell", [False, True], ids=["plain", "below a shell"])
def test_a_stop_waits_for_the_next_save(run: Supervised, shell: bool) -> None:
    """Saves come every 20 s; the stop comes soon after one, and the loop is ended by the next."""
    configure(run, shell=shell, EVERY=400)
    run.start()
    run.wait(lambda: run.entries("save_interval"), PATIENT_S)
    assert run.status["adapter"].endswith("sign of life")
    assert run.process is not None
    count = run.log.count("saved")
    run.wait(lambda: run.log.count("saved") > count)
    run.wait(lambda: run.status["sign_of_life"]["age_s"] is not None)
    run.process.send_signal(signal.SIGTERM)
    assert run.finish(PATIENT_S) == 75
    assert "saved at its own save, step" in run.text
    assert run.entries("attempt_ended")[0]["saved"] is True
    assert run.entries("described") == []
    assert [entry["attempt"] for entry in run.entries("sign_described")] == [1]

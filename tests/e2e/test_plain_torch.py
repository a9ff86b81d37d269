"""A plain PyTorch script reaches the weights of an uninterrupted run despite every fault."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Supervised

SCRIPT = Path(__file__).with_name("plain_torch.py")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_same_weights_after_all_that_happens(run: Supervised, tmp_path: Path) -> None:
    """SIGKILL, a hang and a SIGTERM leave the weights of an uninterrupted run."""
    torch = pytest.importorskip("torch")
    alone = tmp_path / "alone"
    alone.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT)]
    subprocess.run(command, cwd=alone, env=environment, check=True, timeout=200)
    run.configure(
        command=command,
        checkpoints={"directory": "saves"},
        watch={"heartbeat_timeout": "4s"},
        env={"FAULTS": "1", "OMP_NUM_THREADS": "1"},
    )
    process = run.start()
    run.wait(lambda: run.status.get("attempt") == 3 and (run.status.get("step") or 0) > 40, 250)
    process.send_signal(signal.SIGTERM)
    assert run.finish(200) == 75
    assert run.entries("attempt_ended")[-1]["saved"] is True
    run.start()
    assert run.finish(200) == 0
    failures = [e["failure"] for e in run.entries("attempt_ended")]
    assert failures[:2] == ["killed", "hang"]
    expected = torch.load(alone / "final.pt", weights_only=True)
    reached = torch.load(run.folder / "final.pt", weights_only=True)
    assert expected.keys() == reached.keys()
    assert all(torch.equal(expected[name], reached[name]) for name in expected)

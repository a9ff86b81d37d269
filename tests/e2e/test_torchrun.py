"""torchrun with two real gloo ranks: one agreed step; the ranks' 75 counts, not torchrun's 1."""

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Supervised

RANKS = Path(__file__).with_name("ranks.py")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_preempted_and_resumed(run: Supervised) -> None:
    """Both ranks stop after the same step; the run is preempted and saved, and then resumes."""
    saves = run.folder / "saves"
    saves.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    run.configure(
        command=[*command, "--nproc-per-node=2", str(RANKS), str(saves)],
        checkpoints={"directory": str(saves)},
        grace="60s",
        watch={"heartbeat_timeout": "30s"},
        env={"OMP_NUM_THREADS": "1", "GATE": run.gate},
    )
    process = run.start()
    run.wait(lambda: (run.status.get("step") or 0) >= 5, 150)
    process.send_signal(signal.SIGTERM)
    run.let_go()
    assert run.finish(150) == 75
    (end,) = run.entries("attempt_ended")
    assert end["saved"] is True
    assert end["outcome"] == 75
    assert end["code"] == 1
    assert run.strays() == []
    run.start()
    assert run.finish(150) == 0
    weight = 1.0
    for step in range(1, 61):
        weight = weight * 0.5 + (step + step + 1)
    assert json.loads((saves / "final.json").read_text()) == [weight] * 4

"""That nothing tells a trainer where to resume is said while it trains, not when it has died."""

import signal
import sys

import pytest

from tests.e2e.conftest import Supervised

SAVES = """
import time, torch
from pathlib import Path
layer = torch.nn.Linear(4, 4)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
Path("saves").mkdir(exist_ok=True)
for step in range(1, 400):
    layer(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    print("step", step, "loss 1.0", flush=True)
    if step % 20 == 0:
        state = {"model": layer.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        torch.save(state, "saves/new.tmp")
        Path("saves/new.tmp").rename(f"saves/step-{step}.pt")
    time.sleep(0.3)
"""
WARNING = "nothing tells the trainer where to resume, so the run will be held at its first failure"


@pytest.mark.parametrize(
    ("resume", "is_warned"),
    [({}, True), ({"by": "trainer"}, False), ({"args": ["--from", "{checkpoint}"]}, False)],
)
def test_it_is_said_once_a_checkpoint_is_there(
    run: Supervised, resume: dict[str, object], *, is_warned: bool
) -> None:
    """With the line to write; and not to who has written it."""
    pytest.importorskip("torch")
    (run.folder / "t.py").write_text(SAVES)
    run.configure(
        command=[sys.executable, str(run.folder / "t.py")],
        checkpoints={"directory": "saves"},
        resume=resume,
        env={"OMP_NUM_THREADS": "1"},
    )
    run.start()
    if is_warned:
        run.wait(lambda: WARNING in str(run.status.get("warnings")))
        assert run.text.count(WARNING) == 1
        assert 'resume: {args: [--resume, "{checkpoint}"]}' in run.text
    else:
        run.wait(lambda: (run.status.get("checkpoint") or {}).get("step"))
        run.wait(lambda: (run.status.get("checkpoint") or {}).get("step") >= 40)
        assert WARNING not in run.text
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    run.finish()

"""A command whose progress only its bars or its library's table show: `status` shows that.

Nothing decides by it.
"""

import sys

from tests.e2e.conftest import Supervised

SCRIPT = """
import sys, time
from pathlib import Path
print("Map: 100%|###| 400/400 [00:01<00:00, 9000 examples/s]", file=sys.stderr)
for step in range(1, 1001):
    rest = f"[01:02<01:45, 5.97it/s, loss={2 / step:.4f}]"
    print(f"\\r {step // 10:3}%|####      | {step}/1000 {rest}", end="", file=sys.stderr)
    sys.stderr.flush()
    if step == 370:
        while not Path("on").exists():
            time.sleep(0.02)
sys.exit(3 if not Path("again").exists() else 0)
"""


def test_a_bar_is_shown_and_counts_for_nothing(run: Supervised) -> None:
    """Neither `finish.step` nor the budget nor the ledger takes the bar's number for a step."""
    (run.folder / "train.py").write_text(SCRIPT)
    run.configure(
        command=[sys.executable, "train.py"],
        resume={"by": "trainer"},
        finish={"step": 300},
        restart={"max_failures": 2, "backoff": "0.1s", "backoff_max": "0.1s"},
    )
    run.start()
    printed = run.wait(lambda: (run.status.get("printed") or {}).get("step") == 370 and run.status)
    assert (printed["step"], printed["epoch"], printed["loss"]) == (None, None, None)
    assert printed["printed"]["total"] == 1000
    said = run.command("status").stdout
    assert "step 370 of 1,000 (37 %)" in said
    assert "loss 0.0054" in said
    assert run.status["state"] == "running"
    (run.folder / "on").touch()
    assert run.finish() == 1
    assert run.status["state"] == "held"
    ends = run.entries("attempt_ended")
    assert [(end["step"], end["code"], end["loss"]) for end in ends] == [(None, 3, None)] * 2
    assert run.entries("completed") == []


TABLE_SCRIPT = """
import time
from pathlib import Path
folder = Path("lightning_logs/version_7")
folder.mkdir(parents=True)
(folder / "metrics.csv").write_text("epoch,step,train_loss\\n0,9,0.5\\n1,19,0.25\\n")
while not Path("on").exists():
    time.sleep(0.02)
"""


def test_a_table_is_shown_where_nothing_is_printed(run: Supervised) -> None:
    """Lightning's table, and which file it was: its numbers may be some steps old."""
    (run.folder / "train.py").write_text(TABLE_SCRIPT)
    run.configure(command=[sys.executable, "train.py"], resume={"by": "trainer"})
    run.start()
    status = run.wait(lambda: (run.status.get("printed") or {}).get("step") == 19 and run.status)
    assert (status["step"], status["epoch"], status["loss"]) == (None, None, None)
    assert status["printed"]["file"] == "metrics.csv"
    assert "step 19, epoch 1, loss 0.25, by metrics.csv" in run.command("status").stdout
    assert status["state"] == "running"
    (run.folder / "on").touch()
    assert run.finish() == 0
    assert [end["step"] for end in run.entries("attempt_ended")] == [None]

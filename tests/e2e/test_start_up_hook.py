"""The start-up hook in supervised commands: cold, observed and warm, behind wrappers, and not."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.worker.adapters import STARTUP
from tests.e2e.conftest import Supervised

# A venv has no user site-packages, which is where this test installs its package.
PYTHON = Path(sys.base_prefix) / "bin" / "python3"

# A library with a Trainer, trained by an adapter in the script: two stages in one directory.
STAGES = """
import os, shutil, sys, time
from pathlib import Path
from _train_supervisor.integrations.training import Training

out = Path("out")
for stage in (1, 2):
    training = Training("huggingface", "5.24", out, 20)
    inject, path = training.resume_path(None)
    first = int(path.split("-")[-1]) % 100 + 1 if inject else 1
    print("stage", stage, "from", first, flush=True)
    for step in range(first, 21):
        time.sleep(0.01)
        training.beat(stage * 100 + step)
        if step % 5 == 0:
            name = f"checkpoint-{stage * 100 + step}"
            (out / "new").mkdir(parents=True)
            (out / "new" / "state.bin").write_text("x" * 9)
            shutil.rmtree(out / name, ignore_errors=True)
            (out / "new").rename(out / name)
            training.saved(out / name, stage * 100 + step)
        if os.environ["SUPERVISOR_ATTEMPT"] == os.environ["KILLS"] and (stage, step) == (2, 12):
            os.kill(os.getpid(), 9)
        while (stage, step) == (2, 15) and os.environ["KILLS"] == "0" and not training.should_stop:
            time.sleep(0.01)
        if training.should_stop:
            training.stop(out / f"checkpoint-{stage * 100 + 15}", stage * 100 + step)
    training.end()
print("done")
"""


@pytest.fixture
def stages(run: Supervised) -> Supervised:
    """A run of the two stages."""
    (run.folder / "stages.py").write_text(STAGES)
    return run


def configure(run: Supervised, kills: int, **more: Any) -> None:
    """One kill in the attempt of this number; 0: it waits to be stopped."""
    run.configure(
        command=[sys.executable, "stages.py"],
        checkpoints={"directory": "out"},
        env={"KILLS": kills},
        **more,
    )


def test_a_kill_in_the_second_stage(stages: Supervised) -> None:
    """The first stage is trained again as its script says, the second goes on from its own."""
    configure(stages, 1)
    assert stages.run() == 0
    assert [line for line in stages.log.splitlines() if line.startswith("stage")] == [
        "stage 1 from 1", "stage 2 from 1", "stage 1 from 1", "stage 2 from 11",
    ]  # fmt: skip
    record = (stages.paths.state_dir / "trainings.jsonl").read_text()
    assert record.count("\n") == 4 + 2 + 4 + 2


def test_a_stop(stages: Supervised) -> None:
    """SIGTERM to the supervisor: the training saves at its step and exits with 75."""
    configure(stages, 0)
    process = stages.start()
    stages.wait_step(215)
    process.send_signal(signal.SIGTERM)
    stages.finish()
    (end,) = stages.entries("attempt_ended")
    assert (end["outcome"], end["step"], end["code"]) == (75, 215, 75)
    stages.configure(command=[sys.executable, "stages.py"], env={"KILLS": 9},
                     checkpoints={"directory": "out"})  # fmt: skip
    assert stages.run() == 0
    assert "stage 2 from 16" in stages.log


SEEN = """
import os, sys, time
from supervisor.worker import attach
run = attach()
print("hook", *[type(finder).__name__ for finder in sys.meta_path][:2], flush=True)
on_path = any("startup" in entry for entry in sys.path)
print("path", os.environ.get("PYTHONPATH"), on_path, flush=True)
import heavy
out = run.checkpoint_dir
out.mkdir(exist_ok=True)
(out / "new").mkdir()
(out / "new" / "state.bin").write_text("x" * 9)
(out / "new").rename(out / f"checkpoint-{run.attempt}0")
run.beat(step=10 * run.attempt)
while not os.path.exists("on"):
    time.sleep(0.02)
run.finish(step=10 * run.attempt)
"""
ROOT = Path(__file__).resolve().parents[2]


def test_cold_observed_and_warm(run: Supervised) -> None:
    """All three have the hook, and the folder in PYTHONPATH; a warm launch stays warm."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = run.folder / ".local" / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    (site / "heavy.py").write_text("VALUE = 1\n")
    (run.folder / "seen.py").write_text(SEEN)
    run.configure(
        command=[str(PYTHON), "seen.py"],
        checkpoints={"directory": "out"},
        env={"HOME": run.folder, "PYTHONPATH": ROOT},
    )
    run.start()

    def parked() -> Any:
        return ((run.status.get("launch") or {}).get("parked") or {}).get("state") == "waiting"

    run.wait(lambda: run.status.get("step") == 10 and parked())
    os.kill(run.status["pids"]["trainer"], signal.SIGKILL)
    run.wait(lambda: run.status.get("step") == 20)
    (run.folder / "on").touch()
    assert run.finish() == 0
    kinds = [entry["launch"] for entry in run.entries("attempt_started")]
    assert kinds == ["cold", "warm"]
    lines = run.log.splitlines()
    assert [line for line in lines if line.startswith("path")] == [
        f"path {STARTUP}{os.pathsep}{ROOT} False"
    ] * 2
    cold, warm = (line for line in lines if line.startswith("hook"))
    assert cold.split()[1:] == ["ImportObserver", "LibraryFinder"]
    assert warm.split()[1] == "LibraryFinder"


@pytest.mark.parametrize("wrapper", [["env"], ["bash", "-c", '"$@"', "-"]], ids=str)
def test_behind_a_wrapper(run: Supervised, wrapper: list[str]) -> None:
    """A command that is no Python hands the folder on."""
    script = "import sys; print(type(sys.meta_path[0]).__name__)"
    run.configure(command=[*wrapper, sys.executable, "-c", script])
    assert run.run() == 0
    assert "LibraryFinder" in run.log


def test_none(run: Supervised) -> None:
    """`integrate: none`: PYTHONPATH is the user's, and there is no hook."""
    script = (
        "import os, sys; print(os.environ.get('PYTHONPATH'), '_train_supervisor' in sys.modules)"
    )
    run.environ["PYTHONPATH"] = ""
    run.configure(command=[sys.executable, "-c", script], integrate="none")
    assert run.run() == 0
    assert "None False" in run.log

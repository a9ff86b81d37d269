"""`supervisor run -- yolo train …`: ultralytics, which makes a new directory at each start."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.trainers import trainers_python
from tests.integrations.typed_runs import TypedRun, cut

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(900)]
STAND_INS = Path(__file__).with_name("stand_ins")
PACE = Path(__file__).with_name("pace")
_DIGEST = """
import sys, torch
for path in sys.argv[1:]:
    state = torch.load(path, weights_only=False)["model"].state_dict()
    print([value.flatten().tolist() for value in state.values()])
"""
WEIGHTS = "runs/detect/train/weights"


def has_torchvision(python: str) -> bool:
    """Whether the trainers' torchvision can be imported beside their torch."""
    ask = [python, "-c", "import torchvision"]
    return subprocess.run(ask, capture_output=True, check=False).returncode == 0


@pytest.fixture
def run(tmp_path: Path) -> Iterator[TypedRun]:
    """A run beside a tiny data set and a tiny model."""
    python = trainers_python("ultralytics")
    made = TypedRun(tmp_path, "ultralytics", "yolo")
    made.environ |= {"YOLO_CONFIG_DIR": str(tmp_path / "settings"), "YOLO_OFFLINE": "true"}
    (tmp_path / "settings").mkdir()
    folders = [PACE] if has_torchvision(python) else [PACE, STAND_INS]
    made.environ["PYTHONPATH"] = ":".join(map(str, folders))
    made.alone(*made.script("yolo_data.py", "."), folder=tmp_path)
    # It would save in the root of the git repository that it is installed in, if there is one.
    made.alone("yolo", "settings", "runs_dir=runs", folder=tmp_path)
    yield made
    made.close()


def digest(run: TypedRun, path: Path) -> str:
    """The digest of a checkpoint's weights."""
    said = subprocess.run(
        [run.python_of_trainer, "-c", _DIGEST, str(path)], env=run.environ, check=True,
        capture_output=True,
    )  # fmt: skip
    return hashlib.sha256(said.stdout).hexdigest()


def test_yolo(run: TypedRun) -> None:
    """Told at its first save, then a kill, a stop and a torn file: as if resumed by hand."""
    folder = run.folder
    command = [
        *("yolo", "train", f"model={folder}/tiny.yaml", f"data={folder}/data.yaml", "epochs=40"),
        *("imgsz=64", "batch=4", "device=cpu", "plots=False", "amp=False", "patience=1000"),
        *("save_period=1", "optimizer=SGD"),
    ]
    weights = folder / WEIGHTS

    def saves() -> list[Path]:
        return sorted(weights.glob("epoch*.pt"), key=lambda path: int(path.stem[5:]))

    def tear(newest: Path) -> None:
        cut(newest)
        cut(weights / "last.pt")

    assert run.go_through(command, saves, tear, step_s=0.5) == [
        "checkpoints: {directory: runs/detect}",
        "resume: {args: ['model={checkpoint}', resume=True]}",
    ]
    assert [path.name for path in (folder / "runs/detect").iterdir()] == ["train"]
    alone = folder / "alone"
    run.alone(*command, folder=alone)
    went_on = re.findall(r"Resuming training \S+ from epoch (\d+) to 40 total", run.log)
    for epoch in went_on:
        newest = f"{WEIGHTS}/epoch{int(epoch) - 2}.pt"
        run.alone(*command, f"model={newest}", "resume=True", folder=alone)
    assert digest(run, weights / "last.pt") == digest(run, alone / WEIGHTS / "last.pt")

"""The Python that trains: without this package, and with PyPI's other `supervisor` in it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.runs import PATIENCE_S, CommandRun, digests
from tests.integrations.trainers import SCRIPTS

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(900)]
OTHER = "supervisor==4.3.0"
ARGUMENTS = (
    str(SCRIPTS / "causal_lm.py"), "--output_dir", "out", "--per_device_train_batch_size", "4",
    "--logging_steps", "1", "--save_steps", "5", "--report_to", "none", "--seed", "3",
    "--learning_rate", "0.01", "--max_steps", "16",
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Iterator[CommandRun]:
    """A run of a script of transformers' Trainer."""
    made = CommandRun(tmp_path, "transformers")
    yield made
    made.close()


def says(python: str, code: str) -> str:
    """What a Python prints, by itself."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [python, "-c", code], cwd="/", env=kept, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    return done.stdout.strip()


def with_the_other(run: CommandRun) -> str:
    """A virtual environment that has the trainer's packages, and the process manager."""
    libraries = says(run.python_of_trainer, "import site; print(site.getsitepackages()[0])")
    base = says(run.python_of_trainer, "import sys; print(sys._base_executable)")
    venv = run.folder / "venv"
    subprocess.run([base, "-m", "venv", venv], check=True, timeout=PATIENCE_S)
    python = venv / "bin" / "python"
    wheels = Path(run.python_of_trainer).parents[1] / "wheels"
    kept = ["--no-index", "--find-links", str(wheels)] if wheels.exists() else []
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", *kept, OTHER], check=True,
        timeout=PATIENCE_S,
    )  # fmt: skip
    own = says(str(python), "import site; print(site.getsitepackages()[0])")
    Path(own, "trainers.pth").write_text(libraries + "\n")
    return str(python)


def test_a_python_with_the_process_manager(run: CommandRun) -> None:
    """A kill and a stop: the hook works beside another `supervisor`, and `check` tells of it."""
    find = "import importlib.util as find; print(find.find_spec('supervisor'))"
    assert says(run.python_of_trainer, find) == "None"
    python = with_the_other(run)
    assert says(python, "import supervisor.options as o; print(o.VERSION)") == "4.3.0"
    run.use(python, *ARGUMENTS, name="causal_lm", faults="kill@8,stop@13")
    alone = run.alone()
    assert run.ends() == 75
    assert "stopped by SIGTERM, saved at step 13" in run.text
    checked = run.raw("check", str(run.config))
    told = " ".join(checked.stdout.split())
    assert "the command's Python has the process manager `supervisor` 4.3.0" in told
    assert "no other package is named supervisor" in told
    assert run.ends() == 0
    assert run.resumed() == [None, 5, 13]
    assert run.status["adapter"].startswith("huggingface 5.")
    assert digests(run.out)["model.safetensors"] == digests(alone / "out")["model.safetensors"]

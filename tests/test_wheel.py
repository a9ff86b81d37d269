"""The wheel installs one package, and no `train`: users have scripts of that name."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, unpacked as pip would unpack it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "supervisor", source / "supervisor")
    shutil.copytree(ROOT / "train", source / "train")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_it_is_one_package(wheel: Path) -> None:
    """The wheel installs `supervisor` with its types, and no `train`."""
    tops = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"supervisor"}
    assert (wheel / "supervisor" / "py.typed").is_file()


def test_a_script_called_train_imports_the_library(wheel: Path, tmp_path: Path) -> None:
    """A user's own train.py can run `from supervisor.torch import Checkpointer`."""
    script = tmp_path / "train.py"
    script.write_text(
        "from supervisor.torch import Checkpointer, load\nprint(Checkpointer.__module__)\n"
    )
    done = subprocess.run(
        [sys.executable, script], env={"PYTHONPATH": str(wheel)}, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("supervisor.torch.checkpointer\n", "")


def test_without_torch_one_sentence_says_what_to_install(wheel: Path, tmp_path: Path) -> None:
    """Without torch, one sentence says what to install, and no traceback shows our modules."""
    (tmp_path / "torch.py").write_text("raise ImportError('none here')\n")
    code = "try:\n    import supervisor.torch\nexcept ImportError as error:\n    print(error)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": f"{tmp_path}:{wheel}"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == (
        "supervisor.torch needs torch: pip install 'train-supervisor[train]'\n"
    ), done.stderr

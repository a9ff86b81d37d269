"""Unchanged scripts with numbered saves under `supervisor run -- …`: kill, stop, torn save."""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.typed_runs import TypedRun, by_number, cut

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(900)]


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[list[TypedRun]]:
    """The runs of a test, which are ended with it."""
    made: list[TypedRun] = []
    yield made
    for run in made:
        run.close()


def digests(folder: Path, pattern: str) -> dict[str, str]:
    """The digests of files, by name."""
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob(pattern)
    }
    assert found, folder
    return found


@pytest.fixture(scope="module")
def fsdp_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the script of FSDP ran uninterrupted. How it saves does not change what it trains."""
    folder = tmp_path_factory.mktemp("fsdp")
    run = TypedRun(folder, "torch", "fsdp_dcp")
    run.alone(*run.torchrun("fsdp_dcp.py"), folder=folder)
    return folder


@pytest.mark.parametrize("mode", [[], ["--asynchronous"]], ids=["save", "async_save"])
def test_fsdp_with_dcp(
    runs: list[TypedRun], tmp_path: Path, fsdp_alone: Path, mode: list[str]
) -> None:
    """Two ranks under torchrun. The user writes how it is told to resume."""
    run = TypedRun(tmp_path, "torch", "fsdp_dcp")
    runs.append(run)
    command = run.torchrun("fsdp_dcp.py", *mode)
    told = run.go_through(
        command,
        lambda: [path.parent for path in by_number(tmp_path / "checkpoints", "*/.metadata")],
        lambda newest: cut(newest / "__1_0.distcp"),
    )
    assert told == [
        "checkpoints: {directory: checkpoints}",
        "resume: {args: [--resume, '{checkpoint}']}",
    ]
    last = "checkpoints/step-160"
    assert digests(tmp_path / last, "*.distcp") == digests(fsdp_alone / last, "*.distcp")


def _until_latest(saves: list[Path]) -> list[Path]:
    """The saves up to the one that DeepSpeed's `latest` names, which it writes last."""
    latest = saves[0].with_name("latest") if saves else Path("latest")
    name = latest.read_text() if latest.exists() else ""
    names = [path.name for path in saves]
    return saves[: names.index(name) + 1] if name in names else []


def test_deepspeed(runs: list[TypedRun], tmp_path: Path) -> None:
    """Two ranks under `deepspeed`. The script finds the newest by the file `latest`."""
    run = TypedRun(tmp_path, "deepspeed", "deepspeed_loop")
    runs.append(run)
    run.environ["DS_ACCELERATOR"] = "cpu"
    script = run.script("deepspeed_loop.py")[1:]
    command = ["deepspeed", "--num_gpus", "2", *script]
    run.alone(*command, folder=tmp_path / "alone")
    told = run.go_through(
        command,
        lambda: _until_latest(by_number(tmp_path / "saves", "global_step*")),
        lambda newest: (newest / "zero_pp_rank_1_mp_rank_00_optim_states.pt").unlink(
            missing_ok=True
        ),
    )
    assert told == ["checkpoints: {directory: saves}", "resume: {by: trainer}"]
    last = "saves/global_step160"
    assert digests(tmp_path / last, "*.pt") == digests(tmp_path / "alone" / last, "*.pt")


def test_orbax(runs: list[TypedRun], tmp_path: Path) -> None:
    """The script restores orbax' `latest_step()`."""
    run = TypedRun(tmp_path, "orbax", "flax_orbax")
    runs.append(run)
    command = run.script("flax_orbax.py")
    run.alone(*command, folder=tmp_path / "alone")
    told = run.go_through(
        command,
        lambda: by_number(tmp_path / "ckpt", "[0-9]*[0-9]"),
        lambda newest: cut(next((newest / "default/d").iterdir(), newest)),
    )
    assert told == ["checkpoints: {directory: ckpt}", "resume: {by: trainer}"]
    assert digests(tmp_path, "final.txt") == digests(tmp_path / "alone", "final.txt")


def test_stable_baselines3(runs: list[TypedRun], tmp_path: Path) -> None:
    """The script takes `--resume`. The state is that of the same resumes by hand."""
    run = TypedRun(tmp_path, "stable_baselines3", "ppo")
    runs.append(run)
    command = run.script("ppo.py")
    told = run.go_through(
        command, lambda: by_number(tmp_path / "models", "*.zip"), cut, step_s=0.04
    )
    assert told == [
        "checkpoints: {directory: models}",
        "resume: {args: [--resume, '{checkpoint}']}",
    ]
    alone = tmp_path / "alone"
    run.alone(*command, folder=alone)
    for name in dict.fromkeys(run.resumed_from()):
        if name is not None:
            run.alone(*command, "--resume", f"models/{name}", folder=alone)
    mine, theirs = (zipfile.ZipFile(folder / "ppo_final.zip") for folder in (tmp_path, alone))
    with mine, theirs:
        for part in ("policy.pth", "policy.optimizer.pth"):
            assert mine.read(part) == theirs.read(part), part

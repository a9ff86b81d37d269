"""The resume guide, line by line, with the commands that it names."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.conftest import ROOT, WEIGHT_FILES, Workplace

Same = Callable[[Path, Path], None]


def take_over(reference: Workplace, place: Workplace, *names: str) -> None:
    """Put checkpoints of the reference run into a fresh output directory."""
    for name in names:
        shutil.copytree(reference.outputs / name, place.outputs / name)


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """The names, sizes and times of all files below a directory."""
    return {
        str(path.relative_to(directory)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
    }


@pytest.mark.parametrize("name", ["checkpoint-epoch-1", "checkpoint-5", "checkpoint-35"])
def test_any_checkpoint_resumes_exactly(
    reference: Workplace, workplace: Workplace, assert_same_training: Same, name: str
) -> None:
    """Weights, optimizer, schedule, EMA and progress come back, at an epoch's end or inside."""
    take_over(reference, workplace, name)
    step = json.loads((workplace.outputs / name / "training_state.json").read_text())["global_step"]
    lines = (reference.outputs / "metrics.jsonl").read_text().splitlines(keepends=True)
    (workplace.outputs / "metrics.jsonl").write_text("".join(lines[:step]))
    output = workplace.run("--resume", f"./outputs/{name}")
    assert f"resuming from outputs/{name} at step {step}" in output
    assert_same_training(reference.outputs, workplace.outputs)


@pytest.mark.parametrize("name", ["checkpoint-epoch-1", "checkpoint-40"])
def test_the_script_takes_the_same_arguments(
    reference: Workplace, workplace: Workplace, tmp_path: Path, name: str
) -> None:
    """`run_train.sh --config … --resume …` works, also through a link from another directory."""
    take_over(reference, workplace, name)
    workplace.configure()
    script = tmp_path / "link.sh"
    script.symlink_to(ROOT / "run_train.sh")
    command = [str(script), "--config", "config.yaml", "--resume", f"./outputs/{name}"]
    env = workplace.environment({"PYTHON": sys.executable})
    del env["PYTHONPATH"]
    done = subprocess.run(
        command, cwd=workplace.path, env=env, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"resuming from outputs/{name}" in done.stdout
    assert (workplace.outputs / "checkpoint-epoch-2").is_dir()


def test_the_script_is_replaced_by_the_trainer(workplace: Workplace) -> None:
    """The shell is gone once the trainer runs, so that a stop reaches the trainer."""
    code = "import os; print(os.getpid())"
    fake = workplace.path / "python"
    fake.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}"\n')
    fake.chmod(0o755)
    process = subprocess.Popen(
        [str(ROOT / "run_train.sh")],
        env=os.environ | {"PYTHON": str(fake)},
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _ = process.communicate(timeout=90)
    assert int(output) == process.pid


def test_a_checkpoint_holds_the_files_of_the_guide(reference: Workplace) -> None:
    """The files are five, in both name forms; checkpoint-epoch-N has current_epoch N-1."""
    for name in ("checkpoint-epoch-1", "checkpoint-20"):
        names = {path.name for path in (reference.outputs / name).iterdir()}
        assert names >= {*WEIGHT_FILES, "training_state.json", "manifest.json"}

    def state(name: str) -> dict[str, Any]:
        loaded = json.loads((reference.outputs / name / "training_state.json").read_text())
        assert loaded["format"] == 1
        return {key: loaded[key] for key in ("global_step", "current_epoch")}

    assert state("checkpoint-epoch-1") == {"global_step": 21, "current_epoch": 0}
    assert state("checkpoint-epoch-2") == {"global_step": 42, "current_epoch": 1}
    assert state("checkpoint-20") == {"global_step": 20, "current_epoch": 0}
    assert state("checkpoint-25") == {"global_step": 25, "current_epoch": 1}


def without_what_is_ours(reference: Workplace, source: str, target: Path, epoch: int) -> None:
    """Write a checkpoint as another trainer does: the guide's files, by plain torch calls."""
    target.mkdir(parents=True)
    path = reference.outputs / source
    model = torch.nn.ParameterList()
    weights = torch.load(path / "model.pt", weights_only=True)
    model.extend(torch.nn.Parameter(weight) for weight in weights.values())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    optimizer.load_state_dict(torch.load(path / "optimizer.pt", weights_only=True))
    step = json.loads((path / "training_state.json").read_text())["global_step"]
    scheduler.last_epoch = step
    torch.save(weights, target / "model.pt")
    torch.save(optimizer.state_dict(), target / "optimizer.pt")
    torch.save(scheduler.state_dict(), target / "scheduler.pt")
    shutil.copy(path / "ema_model.pt", target)
    state = {"global_step": step, "current_epoch": epoch}
    (target / "training_state.json").write_text(json.dumps(state))


@pytest.mark.parametrize(
    ("source", "name", "epoch", "place"),
    [
        ("checkpoint-epoch-1", "checkpoint-epoch-1", 0, "step 21, epoch 1, batch 0"),
        ("checkpoint-30", "checkpoint-30", 1, "step 30, epoch 1, batch 18"),
        ("checkpoint-30", "backup", 1, "step 30, epoch 1, batch 18"),
    ],
)
def test_a_foreign_directory_of_five_files_resumes(
    reference: Workplace,
    workplace: Workplace,
    assert_same_training: Same,
    source: str,
    name: str,
    epoch: int,
    place: str,
) -> None:
    """Training goes on at the next batch; without dropout the run is the same, bit for bit."""
    quiet = {"model": {"dropout": 0.0}}
    if name == "backup":
        without_what_is_ours(reference, source, workplace.path / name, epoch)
        assert place in workplace.run("--resume", name)
        return
    whole = Workplace(workplace.path / "whole")
    whole.run(changes=quiet)
    whole.close()
    without_what_is_ours(whole, source, workplace.path / name, epoch)
    output = workplace.run("--resume", name, changes=quiet)
    assert place in output
    step = int(place.split(",")[0].removeprefix("step "))
    assert workplace.metrics() == whole.metrics()[step:]
    one = torch.load(whole.outputs / "checkpoint-epoch-2" / "model.pt", weights_only=True)
    other = torch.load(workplace.outputs / "checkpoint-epoch-2" / "model.pt", weights_only=True)
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.timeout(400)
def test_compiled_and_plain_checkpoints_load_in_either_direction(
    reference: Workplace, workplace: Workplace, assert_same_training: Same
) -> None:
    """A plain model loads names with the `_orig_mod.` prefix, a compiled one names without it."""
    compiled = {"training": {"compile": True, "compile_backend": "eager"}}
    take_over(reference, workplace, "checkpoint-40")
    path = workplace.outputs / "checkpoint-40"
    lines = (reference.outputs / "metrics.jsonl").read_text().splitlines(keepends=True)
    (workplace.outputs / "metrics.jsonl").write_text("".join(lines[:40]))
    workplace.run("--resume", "outputs/checkpoint-40", changes=compiled)
    assert_same_training(reference.outputs, workplace.outputs)
    for name in ("model.pt", "ema_model.pt"):
        weights = torch.load(path / name, weights_only=True)
        assert not any("_orig_mod." in key for key in weights)
        torch.save({f"_orig_mod.{key}": value for key, value in weights.items()}, path / name)
    (path / "manifest.json").unlink()
    output = workplace.run("--resume", "outputs/checkpoint-40")
    assert "resuming from outputs/checkpoint-40 at step 40" in output
    assert_same_training(reference.outputs, workplace.outputs)


@pytest.mark.timeout(400)
def test_a_model_with_a_compiled_part_takes_a_plain_checkpoint(workplace: Workplace) -> None:
    """If the user's model compiles a part itself, the prefix is in the middle of names."""
    (workplace.path / "mine.py").write_text(
        "import torch\n"
        "class Mine(torch.nn.Module):\n"
        "    def __init__(self, compiled):\n"
        "        super().__init__()\n"
        "        inner = torch.nn.Linear(1, 1)\n"
        "        self.inner = torch.compile(inner, backend='eager') if compiled else inner\n"
        "    def forward(self, inputs, targets):\n"
        "        return (self.inner(inputs[:, :1].float()) - 1).square().mean()\n"
    )
    mine: dict[str, Any] = {
        "model": {"factory": "mine:Mine", "args": {"compiled": False}},
        "training": {"max_steps": 5},
    }
    workplace.run(changes=mine)
    mine["model"]["args"]["compiled"] = True
    mine["training"]["max_steps"] = 10
    workplace.run("--resume", "auto", changes=mine)
    weights = torch.load(workplace.outputs / "checkpoint-10" / "model.pt", weights_only=True)
    assert set(weights) == {"inner.weight", "inner.bias"}
    mine["model"]["args"]["compiled"] = False
    mine["training"]["max_steps"] = 15
    assert "at step 10" in workplace.run("--resume", "auto", changes=mine)


def test_a_checkpoint_of_a_device_that_is_not_here_loads(
    reference: Workplace, workplace: Workplace
) -> None:
    """Tensors that were saved on cuda:3 load on a machine without that device."""
    take_over(reference, workplace, "checkpoint-40")
    path = workplace.outputs / "checkpoint-40"
    (path / "manifest.json").unlink()
    torch.serialization.register_package(0, lambda _: "cuda:3", lambda *_: None)
    try:
        for name in WEIGHT_FILES:
            torch.save(torch.load(path / name, weights_only=True, map_location="cpu"), path / name)
    finally:
        registry = torch.serialization._package_registry
        registry[:] = [entry for entry in registry if entry[0] != 0]
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(path / "model.pt", weights_only=True)
    assert "finished: step 42" in workplace.run("--resume", "outputs/checkpoint-40")


def test_a_changed_model_is_a_clear_error(reference: Workplace, workplace: Workplace) -> None:
    """All missing and unexpected keys and shapes are listed; the exit is 78, nothing is written."""
    take_over(reference, workplace, "checkpoint-40")
    before = snapshot(workplace.path / "outputs")
    deeper = {"model": {"layers": 2, "width": 24}}
    output = workplace.run("--resume", "outputs/checkpoint-40", changes=deeper, code=78)
    assert "does not fit this model; nothing was loaded" in output
    assert "missing: blocks.1.attention.project_in.weight" in output
    assert "shape differs: norm.weight 16 in the checkpoint, 24 here" in output
    assert "Traceback" not in output
    shallower = torch.load(workplace.outputs / "checkpoint-40" / "model.pt", weights_only=True) | {
        "extra.weight": torch.zeros(2)
    }
    torch.save(shallower, workplace.outputs / "checkpoint-40" / "model.pt")
    (workplace.outputs / "checkpoint-40" / "manifest.json").unlink()
    output = workplace.run("--resume", "outputs/checkpoint-40", code=78)
    assert "unexpected: extra.weight" in output
    assert snapshot(workplace.path / "outputs").keys() == before.keys() - {
        "checkpoint-40/manifest.json"
    }


@pytest.mark.parametrize("how", ["argument", "supervisor"])
def test_a_path_that_does_not_exist(workplace: Workplace, how: str) -> None:
    """The error names the path, the exit code is not 0, and nothing is written."""
    workplace.configure()
    before = snapshot(workplace.path)
    if how == "argument":
        output = workplace.run("--resume", "./outputs/checkpoint-epoch-118", code=1)
    else:
        output = workplace.run(
            env={"SUPERVISOR_RESUME_FROM": "outputs/checkpoint-epoch-118"}, code=1
        )
    assert "outputs/checkpoint-epoch-118 does not exist" in output
    assert "Traceback" not in output
    assert snapshot(workplace.path).keys() == before.keys()


@pytest.mark.parametrize(
    ("source", "name", "place"),
    [
        ("checkpoint-epoch-1", "checkpoint-epoch-1", "step 21, epoch 1, batch 0"),
        ("checkpoint-30", "checkpoint-30", "step 30, epoch 1, batch 18"),
        ("checkpoint-30", "rescued", "step 0, epoch 0, batch 0"),
    ],
)
def test_without_training_state(
    reference: Workplace, workplace: Workplace, source: str, name: str, place: str
) -> None:
    """A warning is printed, the name gives the epoch or 0, and model and optimizer are loaded."""
    path = workplace.path / name
    shutil.copytree(reference.outputs / source, path)
    (path / "training_state.json").unlink()
    output = workplace.run("--resume", name)
    assert f"warning: {name}/training_state.json does not exist" in output
    assert place in output
    first = workplace.metrics()[0]
    assert first["step"] == int(place.split(",")[0].removeprefix("step ")) + 1
    assert first["loss"] < reference.metrics()[20]["loss"]
    last = torch.load(workplace.outputs / "checkpoint-epoch-2" / "optimizer.pt", weights_only=True)
    done = 21 if source == "checkpoint-epoch-1" else 30
    taken = len(workplace.metrics())
    assert {int(entry["step"]) for entry in last["state"].values()} == {done + taken}


def test_the_newest_five_are_kept_and_it_goes_on_from_the_newest(workplace: Workplace) -> None:
    """save_steps, keep and train.log work, and `--resume auto` after an interruption."""
    habits = {"checkpoints": {"save_steps": 4, "keep": 5, "every_epoch": False}}
    left = workplace.outputs / ".set-aside" / ".deleting-checkpoint-4"
    left.mkdir(parents=True)  # left by a removal that was killed
    (left / "model.pt").touch()
    workplace.run("--set", "training.max_steps=31", "--resume", "auto", changes=habits)
    kept = {path.name for path in workplace.outputs.glob("checkpoint-*")}
    assert kept == {f"checkpoint-{step}" for step in (16, 20, 24, 28, 31)}
    assert not left.parent.exists()
    assert "exists from an earlier run: add --resume auto" in workplace.run(changes=habits, code=78)
    output = workplace.run("--set", "training.max_steps=33", "--resume", "auto", changes=habits)
    assert "resuming from outputs/checkpoint-31 at step 31" in output
    log = (workplace.outputs / "train.log").read_text()
    assert "step 31/31" in log
    assert "step 33/33" in log
    assert [line["step"] for line in workplace.metrics()] == list(range(1, 34))


def test_a_damaged_checkpoint_is_passed_over_or_refused(
    reference: Workplace, workplace: Workplace
) -> None:
    """`--resume auto` takes the next one; a damaged one named by hand is an error with a reason."""
    take_over(reference, workplace, "checkpoint-40", "checkpoint-35")
    weights = workplace.outputs / "checkpoint-40" / "model.pt"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    output = workplace.run("--resume", "outputs/checkpoint-40", code=1)
    assert "checkpoint-40 is damaged: model.pt does not match its hash" in output
    output = workplace.run("--resume", "latest", "--set", "training.max_steps=36")
    assert "passing over outputs/checkpoint-40" in output
    assert "resuming from outputs/checkpoint-35" in output


def test_a_rollback_does_not_undo_itself(reference: Workplace, workplace: Workplace) -> None:
    """A resume from an older checkpoint sets later ones aside, so that auto does not find them."""
    take_over(reference, workplace, "checkpoint-40", "checkpoint-20", "checkpoint-30")
    workplace.run("--resume", "outputs/checkpoint-20", "--set", "training.max_steps=22")
    aside = workplace.outputs / ".set-aside" / "superseded"
    assert {path.name for path in aside.glob("checkpoint-??")} == {"checkpoint-30", "checkpoint-40"}
    assert "at step 22" in workplace.run("--resume", "auto", "--set", "training.max_steps=23")

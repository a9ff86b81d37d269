"""Numbered files whose name may be anybody's: their content tells whether they are checkpoints."""

import time
from pathlib import Path

import pytest
import torch

from supervisor.checkpoint.how_to_resume import how_to_resume
from supervisor.checkpoint.told_names import MOST_TOLD, may_be_told
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey

Entries = list[tuple[str, int | None, int | None]]


def look(folder: Path) -> Entries:
    """Name, step and epoch of what a survey lists."""
    found = survey(SurveyRequest(folder, existing="use", quiet=True))
    return [(one.name, one.step, one.epoch) for one in found.entries]


@pytest.mark.parametrize(
    ("name", "keys", "found"),
    [
        ("model_12.pth", {"model": 1, "optimizer": 1, "epoch": 12}, (None, 12)),
        ("model_13.pth", {"model": 1, "optimizer": 1, "epoch": 12}, (None, 12)),
        ("model_500.pth", {"model": 1, "optimizer": 1, "epoch": 2}, (500, 2)),
        ("0050000.pt", {"model": 1, "ema": 1, "opt": 1}, (50000, None)),
        ("snapshot-40.pt", {"MODEL_STATE": 1, "OPTIMIZER_STATE": 1}, (40, None)),
        ("state_40.pt", {"net": 1, "optim": 1}, (40, None)),
    ],
)
def test_a_save_to_go_on_from_counts(
    tmp_path: Path, name: str, keys: dict[str, int], found: tuple[int | None, int | None]
) -> None:
    """A numbered file with an optimizer is a checkpoint, its number a step or an epoch."""
    torch.save(keys, tmp_path / name)
    assert look(tmp_path) == [(name, *found)]


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("model_12.pth", {"weight": 1, "bias": 1}),
        ("0050000.pt", {"x": 1, "y": 2}),
        ("7.pt", {"optimizer": 1}),
        ("7.pt", [1, 2, 3]),
        ("optimizer_12.pt", {"model": 1, "optimizer": 1}),
        ("model_best_12.pth", {"model": 1, "optimizer": 1}),
        ("predictions_12.pt", {"model": 1, "optimizer": 1}),
        ("fold_3.pt", {"model": 1, "optimizer": 1}),
        ("ckpt_10_rank_3.pt", {"model": 1, "optimizer": 1}),
        ("resnet50.pt", {"model": 1, "optimizer": 1}),
    ],
)
def test_others_do_not(tmp_path: Path, name: str, state: object) -> None:
    """Weights alone, data, parts of a save, and numbers of folds or ranks are no checkpoints."""
    torch.save(state, tmp_path / name)
    assert look(tmp_path) == []


def test_no_other_programs_json_counts(tmp_path: Path) -> None:
    """Only xgboost's JSON begins with its learner."""
    (tmp_path / "model_3.json").write_text('{"class_name": "Sequential"}')
    (tmp_path / "checkpoint_3").write_bytes(b"\x80\x04\x95")
    assert look(tmp_path) == []
    (tmp_path / "model_4.json").write_text('{"learner":{"attributes":{}},"version":[1,7,6]}')
    assert look(tmp_path) == [("model_4.json", 4, None)]


def test_a_data_set_is_not_opened(tmp_path: Path) -> None:
    """So many numbered files are data: none is opened."""
    for number in range(MOST_TOLD + 1):
        (tmp_path / f"{number:06}.pt").write_bytes(b"PK\3\4" + bytes(100))
    assert may_be_told("000001.pt")
    begun = time.process_time()
    assert look(tmp_path) == []
    assert time.process_time() - begun < 2.0


@pytest.mark.parametrize(
    ("path", "files", "said"),
    [
        ("out/checkpoint-10", ("trainer_state.json", "random_states_0.pkl"), "HF's Trainer"),
        ("out/checkpoint-10", ("optimizer.bin", "random_states_0.pkl"), "accelerate"),
        ("logs/checkpoints/last.ckpt", ("last.ckpt",), "Lightning"),
        ("train/weights/last.pt", ("last.pt",), "model={checkpoint}"),
        ("out/last.pt", ("last.pt",), "nanoGPT"),
        ("out/ckpt.pt", ("ckpt.pt",), "--init_from=resume"),
        ("out/10", ("_CHECKPOINT_METADATA", "default/manifest.ocdbt"), "orbax"),
        ("out/global_step10", ("mp_rank_00_model_states.pt",), "DeepSpeed"),
        ("out/step-10", (".metadata", "__0_0.distcp"), "DCP"),
        ("out/iter_0000010", (".metadata", "__0_0.distcp", "common.pt"), "Megatron"),
        ("out/rl_model_10_steps.zip", ("rl_model_10_steps.zip",), "stable-baselines3"),
    ],
)
def test_each_tool_is_told_in_its_own_way(path: str, files: tuple[str, ...], said: str) -> None:
    """A file that one tool alone writes tells the tool, else the folder and the name."""
    assert said in (how_to_resume(Path(path), files) or "")


def test_nobody_knows_how_an_unknown_save_is_resumed() -> None:
    """Without a tool's name or files nothing is claimed."""
    assert how_to_resume(Path("out/checkpoint-10"), ("model.pt", "optimizer.pt")) is None
    assert how_to_resume(Path("out/weights-10.bin"), ("weights-10.bin",)) is None

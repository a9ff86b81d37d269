"""Names that trainers and evaluations share: the content or a file name's last word decides."""

from pathlib import Path

import pytest

from supervisor.checkpoint.names import parse_name
from supervisor.checkpoint.shared_names import is_save, is_save_at
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, MakeOurs, write_files
from tests.checkpoint.test_foreign import accelerate

PICKLE = b"\x80\x04K\x01."
RESULTS = {
    "epoch_1/scores.npy": b"x" * 1000,
    "epoch_2/scores.npz": b"PK",
    "epoch-3/logits.pt": PICKLE,
    "epoch_4/val/embeddings.pt": PICKLE,
    "epoch5/confusion.pkl": PICKLE,
    "step_150/sample.png": b"png",
    "step_160/gen.pkl": PICKLE,
    "step_170/events.out.tfevents.1": b"abc",
    "step-180/generated.pt": PICKLE,
    "step_190/samples/0.pt": PICKLE,
    "step_195/metrics.json": b"{}",
    "iter_500/heatmaps.h5": b"h5",
    "optimizer-state/x.pt": PICKLE,
    "lora-state/model.safetensors": b"x",
    "ema-state/optimizer.bin": PICKLE,
}
SAVES = [
    "step-1000/__0_0.distcp",
    "step-1000/.metadata",
    "step_1000/default/_METADATA",
    "step_1000/_CHECKPOINT_METADATA",
    "step_1000/pytorch_model_fsdp_0/__0_0.distcp",
    "step_1000/optimizer_0/.metadata",
    "step_10/unet/diffusion_pytorch_model.safetensors",
    "step_10/pytorch_model.bin",
    "epoch_3/model.pt",
    "epoch_3/0.pt",
    "epoch_3/trainer_state.json",
    "epoch_3/model.ckpt-100.index",
    "epoch_3/params.npz",
    "epoch_3/state.pkl",
    "epoch_3/score_model.pt",
    "epoch_3/model.weights.h5",
    "iter_500/mp_rank_00/model_optim_rng.pt",
    "iter_0000500/anything",
    "checkpoint-100/sample.png",
    "global_step5/x.npy",
    "checkpoint_000010/x.txt",
    "lora-state/train_state.json",
    "lora-state/random_states_0.pkl",
    "lora-step00000100-state/model.safetensors",
    "lora-000010-state/random_states_1.pkl",
]


def look(folder: Path, **changes: str) -> SurveyRequest:
    """A request of the run itself, nothing being written."""
    return SurveyRequest(folder, "run", quiet=True, first_attempt_wall=0.0, **changes)


def test_results_beside_checkpoints_are_nobodys(tmp_path: Path, torch_files: Files) -> None:
    """Pictures and scores under shared names are not judged, are not newest, and end no run."""
    write_files(tmp_path / "checkpoint-100", accelerate(torch_files, 100))
    write_files(tmp_path, RESULTS, age_s=0)
    found = survey(look(tmp_path))
    assert [(entry.name, entry.valid) for entry in found.entries] == [("checkpoint-100", True)]


@pytest.mark.parametrize("path", RESULTS)
def test_results_alone_make_no_run(tmp_path: Path, path: str) -> None:
    """A run that has only results has no checkpoint."""
    write_files(tmp_path, {path: RESULTS[path]})
    found = survey(look(tmp_path))
    assert (found.entries, found.exists) == ((), False)
    assert not is_save_at(str(tmp_path / path.partition("/")[0]))


@pytest.mark.parametrize("path", SAVES)
def test_a_save_is_still_one(tmp_path: Path, path: str) -> None:
    """One file of state makes a save; under a name that only checkpoints have, any file does."""
    name, _, file = path.partition("/")
    assert is_save(name, {file})
    write_files(tmp_path, {path: PICKLE})
    assert [entry.name for entry in survey(look(tmp_path)).entries] == [name]
    assert is_save_at(str(tmp_path / name))


def test_the_users_pattern_and_our_mark_need_no_file(tmp_path: Path, make_ours: MakeOurs) -> None:
    """The user's pattern or our mark makes a checkpoint whatever the name and the files are."""
    make_ours(tmp_path, 5, name="epoch_5")
    (tmp_path / "epoch_5" / "model.pt").unlink()
    write_files(tmp_path / "step_7", {"sample.png": b"png"})
    assert [entry.name for entry in survey(look(tmp_path)).entries] == ["epoch_5"]
    entries = survey(look(tmp_path, pattern=r"step_(?P<step>\d+)")).entries
    assert {entry.name for entry in entries} == {"epoch_5", "step_7"}


@pytest.mark.parametrize(
    "name",
    ["predictions_step_5.pt", "optimizer_step_5.pt", "val_embeddings_epoch_5.pt",
     "model_predictions_epoch_3.pt", "grad_scaler_iter_5.pth", "ema_model_step_5.safetensors",
     "lr_scheduler_epoch_5.pt", "random_states_step_5.bin", "logits-iter_7.ckpt",
     "metrics_1000_steps.zip"],
)  # fmt: skip
def test_what_is_made_by_the_way_is_no_checkpoint(tmp_path: Path, name: str) -> None:
    """A numbered file's last word shows that it is a by-product; the user's pattern overrules."""
    assert parse_name(name) is None
    write_files(tmp_path, {name: PICKLE})
    assert survey(look(tmp_path)).entries == ()
    pattern = name.replace(".", r"\.").replace("_5.", r"_(?P<step>\d+).")
    if "(?P<step>" in pattern:
        assert [entry.step for entry in survey(look(tmp_path, pattern=pattern)).entries] == [5]


@pytest.mark.parametrize(
    "name",
    ["score_model_step_5.pt", "memory-transformer-step-5.pt", "attention_unet_epoch_5.pth",
     "opt-125m-step-5.pt", "val_loss=0.1-step=5.pt", "step_5.pt", "epoch5.pth", "net_iter_5.pth",
     "rl_model_5_steps.zip", "gan-generator-epoch-5.pt", "eval-epoch=5-step=5.ckpt",
     "model_and_optimizer_step_5.pt"],
)  # fmt: skip
def test_a_models_name_is_still_one(name: str) -> None:
    """A word that others use for results may stand before a word for a model."""
    assert parse_name(name) is not None


def test_a_directory_of_data_under_a_shared_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory with more files than any checkpoint is left out, so that no launch waits."""
    monkeypatch.setattr("supervisor.checkpoint.listing._MOST_FILES", 10)
    for name in ("step_5", "checkpoint-5"):
        write_files(tmp_path / name, {f"{number}.pt": PICKLE for number in range(20)})
    assert [entry.name for entry in survey(look(tmp_path)).entries] == ["checkpoint-5"]

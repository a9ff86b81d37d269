"""Saves that the tools' own libraries wrote (`make_tool_saves.py`): whole ones, and torn ones."""

import os
import shutil
import tarfile
import time
from pathlib import Path

import pytest

from supervisor.checkpoint.records import ENDED
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import make_old

ARCHIVE = Path(__file__).with_name("tool_saves.tar.xz")
LIGHTNING = "lightning_logs/version_0/checkpoints"
# For each directory: its checkpoints, newest first, with step and epoch.
WHOLE: dict[str, list[tuple[str, int | None, int | None]]] = {
    "huggingface/out": [("checkpoint-4", 4, 1), ("checkpoint-2", 2, 0)],
    "huggingface/only_model": [("checkpoint-4", 4, 1), ("checkpoint-2", 2, 0)],
    "peft": [("checkpoint-4", 4, 1), ("checkpoint-2", 2, 0)],
    "accelerate/named": [("checkpoint-2", 2, None), ("checkpoint-1", 1, None)],
    "accelerate": [
        ("checkpoints/checkpoint_1", 1, None),
        ("checkpoints/checkpoint_0", 0, None),
    ],
    # The folder that the adapter names, with the library's own numbers.
    "accelerate/checkpoints": [("checkpoint_1", 1, None), ("checkpoint_0", 0, None)],
    "lightning": [
        (f"{LIGHTNING}/last.ckpt", 8, 1),
        (f"{LIGHTNING}/epoch=1-step=8.ckpt", 8, 1),
        (f"{LIGHTNING}/epoch=1-step=6.ckpt", 6, 1),
        (f"{LIGHTNING}/epoch=0-step=4.ckpt", 4, 0),
        (f"{LIGHTNING}/epoch=0-step=2.ckpt", 2, 0),
    ],
    "lightning/by_loss": [
        ("epoch=1-loss=0.96.ckpt", 8, 1),
        ("epoch=0-loss=0.98.ckpt", 4, 0),
    ],
    "stable_baselines3": [("rl_model_20_steps.zip", 20, None), ("rl_model_10_steps.zip", 10, None)],
    "orbax/plain": [("2", 2, None), ("1", 1, None)],
    "orbax/prefixed": [("step_2", 2, None), ("step_1", 1, None)],
    "orbax/checkpoints": [("2", 2, None), ("1", 1, None)],
    "flax": [
        ("flax_model_2.msgpack", 2, None),
        ("checkpoint_2", 2, None),
        ("flax_model_1.msgpack", 1, None),
        ("checkpoint_1", 1, None),
    ],
    "xgboost": [
        ("xgb_model_6.json", 6, None),
        ("model_4.ubj", 4, None),
        ("model_2.ubj", 2, None),
    ],
    "keras": [
        ("ckpt-02.weights.h5", None, 1),
        ("ckpt-02-1.48.keras", None, 1),
        ("ckpt-01.weights.h5", None, 0),
        ("ckpt-01-1.49.keras", None, 0),
    ],
    "deepspeed": [("global_step2", 2, None), ("global_step1", 1, None)],
    "ultralytics/unfinished": [("train/weights/last.pt", None, 1)],
    "timm": [
        ("recovery-2-5.pth.tar", None, 2),
        ("last.pth.tar", None, 1),
        ("checkpoint-1.pth.tar", None, 1),
        ("checkpoint-0.pth.tar", None, 0),
    ],
    "nanogpt": [("ckpt.pt", 250, None)],
    "single_files/fairseq": [("checkpoint3.pt", 5000, None)],
    "single_files/torchvision": [("model_3.pth", None, 3)],
    "single_files/detectron2": [("model_0004999.pth", 4999, None)],
    "single_files/mmengine": [("iter_500.pth", 500, None)],
    "single_files/dit": [("0050000.pt", 50000, None)],
    "single_files/guided_diffusion": [],
}
# Their loss is not needed to resume, or no other file says that they belong to the save.
NOT_NEEDED = ("README.md", "adapter_config.json", "commit_success.txt", "_sharding")


@pytest.fixture(scope="session")
def saves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's content, with times that no test has to wait for."""
    folder = tmp_path_factory.mktemp("saves")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    (folder / "orbax/checkpoints").mkdir()
    for step in ("1", "2"):
        shutil.copytree(folder / "orbax/plain" / step, folder / "orbax/checkpoints" / step)
    make_old(folder)
    now = time.time() - 30
    for newer in ("lightning/lightning_logs/version_0/checkpoints/last.ckpt", "timm/last.pth.tar",
                  "flax/flax_model_1.msgpack", "flax/flax_model_2.msgpack",
                  "timm/recovery-2-5.pth.tar"):  # fmt: skip
        os.utime(folder / newer, (now, now))
    return folder


def look(folder: Path, **options: object) -> Survey:
    """A survey of a run that may use all that is there, while nothing is being written."""
    return survey(SurveyRequest(folder, existing="use", quiet=True, **options))  # type: ignore[arg-type]


def listed(found: Survey, folder: Path) -> list[tuple[str, int | None, int | None]]:
    """Path, step and epoch of each valid checkpoint, newest first."""
    return [
        (str(one.path.relative_to(folder)), one.step, one.epoch)
        for one in found.entries
        if one.valid
    ]


@pytest.mark.parametrize("folder", WHOLE)
def test_whole_saves_are_valid_and_in_order(saves: Path, folder: str) -> None:
    """Each tool's saves are found where it makes them, valid, with their step and epoch."""
    found = look(saves / folder)
    assert listed(found, saves / folder) == WHOLE[folder]
    assert [one.reason for one in found.entries if one.valid is not True] == []
    first = WHOLE[folder][0][0] if WHOLE[folder] else None
    newest = found.newest_valid
    assert (None if newest is None else str(newest.path.relative_to(saves / folder))) == first


@pytest.mark.parametrize("folder", [one for one, saved in WHOLE.items() if saved])
def test_each_whole_save_is_valid_alone(saves: Path, folder: str, tmp_path: Path) -> None:
    """No save needs another one to be valid."""
    for number, (name, _, _) in enumerate(WHOLE[folder]):
        place = tmp_path / str(number) / name
        place.parent.mkdir(parents=True)
        source = saves / folder / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, place)
        found = look(tmp_path / str(number))
        assert [(one.name, one.valid) for one in found.entries] == [(place.name, True)]


@pytest.mark.parametrize("folder", [one for one, saved in WHOLE.items() if saved])
def test_a_torn_save_is_never_the_start(saves: Path, folder: str, tmp_path: Path) -> None:
    """A file cut off at any of some lengths, or missing, is seen; the others stay valid."""
    shutil.copytree(saves / folder, tmp_path / "run")
    run = tmp_path / "run"
    for name, _, _ in WHOLE[folder]:
        place = run / name
        files = [one for one in place.rglob("*") if one.is_file()] or [place]
        others = [one for one in WHOLE[folder] if one[0] != name]
        for file in files:
            if file.name in NOT_NEEDED:
                continue
            data = file.read_bytes()
            ends = len(data.rstrip())  # a JSON file may lose the newline at its end
            for length in {0, 1, ends // 3, ends // 2, ends * 9 // 10, ends - 1}:
                file.write_bytes(data[:length])
                valid = [one[0] for one in listed(look(run), run)]
                assert name not in valid, f"{file.relative_to(run)} cut at {length}"
                assert set(valid) >= {one[0] for one in others} - {name}
            file.write_bytes(data)


MISSING = {
    "huggingface/out/checkpoint-4": {"README.md"},
    "peft/checkpoint-4": {"README.md", "adapter_config.json"},
    "accelerate/named/checkpoint-2": set(),
    "deepspeed/global_step2": set(),
}


@pytest.mark.parametrize("place", MISSING)
def test_a_missing_file_is_seen(saves: Path, place: str, tmp_path: Path) -> None:
    """Each file of a directory is needed, but for those that only describe it."""
    parent = (saves / place).parent
    shutil.copytree(parent, tmp_path / "run")
    newest = tmp_path / "run" / Path(place).name
    for file in [one for one in newest.rglob("*") if one.name not in MISSING[place]]:
        data = file.read_bytes()
        file.unlink()
        found = look(tmp_path / "run").newest_valid
        assert found is not None
        assert found.path != newest, file.name
        file.write_bytes(data)


@pytest.mark.parametrize("file", ["_CHECKPOINT_METADATA", "default/_METADATA",
                                  "default/manifest.ocdbt", "default/d",
                                  "default/ocdbt.process_0/manifest.ocdbt",
                                  "default/ocdbt.process_0/d"])  # fmt: skip
def test_a_part_of_an_orbax_save_is_missing(saves: Path, file: str, tmp_path: Path) -> None:
    """Each store has its manifest and its data, and each save the records that others have."""
    shutil.copytree(saves / "orbax/plain", tmp_path / "run")
    gone = tmp_path / "run/2" / file
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    found = look(tmp_path / "run")
    assert [(one.name, one.valid) for one in found.entries] == [("2", False), ("1", True)]


def test_a_large_orbax_file_may_go_on_in_another(saves: Path, tmp_path: Path) -> None:
    """A data file of the size at which stores are split need not end with a node."""
    shutil.copytree(saves / "orbax/plain", tmp_path / "run")
    folder = tmp_path / "run/2/default/ocdbt.process_0/d"
    with (folder / ("a" * 32)).open("wb") as file:
        file.write(b"w" * 4096)
        file.truncate(32 << 20)
    assert {one.name: one.valid for one in look(tmp_path / "run").entries}["2"]
    os.truncate(folder / ("a" * 32), 31 << 20)
    assert not {one.name: one.valid for one in look(tmp_path / "run").entries}["2"]


@pytest.mark.parametrize(
    ("folder", "whole", "stale"),
    [
        ("orbax/plain", "2", "3.orbax-checkpoint-tmp"),
        ("orbax/plain", "2", "3.orbax-checkpoint-tmp-1795936895230496"),
        ("orbax/prefixed", "step_2", "step_3.orbax-checkpoint-tmp"),
        ("huggingface/out", "checkpoint-4", "tmp-checkpoint-6"),
        ("stable_baselines3", "rl_model_20_steps.zip", "rl_model_30_steps.zip.tmp"),
        ("timm", "last.pth.tar", "tmp.pth.tar"),
        ("nanogpt", "ckpt.pt", "ckpt.pt.tmp"),
    ],
)
def test_what_a_killed_save_leaves_is_no_checkpoint(
    saves: Path, folder: str, whole: str, stale: str, tmp_path: Path
) -> None:
    """The temporary name of a save that was killed is not listed, even if all files are there."""
    run = tmp_path / "run"
    shutil.copytree(saves / folder, run)
    source = run / whole
    (shutil.copytree if source.is_dir() else shutil.copy2)(source, run / stale)
    assert stale not in [one.name for one in look(run).entries]


def test_weights_alone_are_no_checkpoint(saves: Path) -> None:
    """Lightning refuses to resume from its weights-only saves, so they hold no run up."""
    found = look(saves / "lightning/weights_alone")
    assert (found.entries, found.exists, found.undecided) == ((), False, ())


def test_the_best_is_no_start(saves: Path) -> None:
    """The best models of ultralytics, timm and stable-baselines3 are not listed."""
    for folder in ("ultralytics", "timm", "stable_baselines3"):
        assert not [one for one in look(saves / folder).entries if "best" in one.name]


def test_an_ended_ultralytics_training_is_no_start(saves: Path) -> None:
    """After its training ultralytics takes the optimizer out of `last.pt`: nothing can resume."""
    found = look(saves / "ultralytics/train")
    only = found.entries[0]
    assert (only.name, only.valid, only.reason) == ("last.pt", True, ENDED)
    assert (found.newest_valid, found.exists) == (None, True)


def test_a_saved_model_without_its_replay_buffer_is_torn(saves: Path, tmp_path: Path) -> None:
    """stable-baselines3 saves the buffer after the model. Old buffers may be removed."""
    run = tmp_path / "run"
    shutil.copytree(saves / "stable_baselines3", run)
    (run / "rl_model_replay_buffer_20_steps.pkl").unlink()
    found = look(run)
    assert [(one.step, one.valid) for one in found.entries] == [(20, False), (10, True)]
    assert "rl_model_replay_buffer_20_steps.pkl is missing" in (found.entries[0].reason or "")
    (run / "rl_model_replay_buffer_10_steps.pkl").unlink()
    assert [one.valid for one in look(run).entries] == [True, True]


def test_nemos_mark_of_an_unfinished_save(saves: Path, tmp_path: Path) -> None:
    """NeMo puts an empty file beside a checkpoint until it is whole."""
    name = "gpt--loss=1.00-step=8-consumed_samples=64.0.ckpt"
    shutil.copy2(saves / "lightning" / WHOLE["lightning"][1][0], tmp_path / name)
    assert look(tmp_path).newest_valid is not None
    mark = tmp_path / (name.removesuffix(".ckpt") + "-unfinished")
    mark.touch()
    found = look(tmp_path)
    assert [one.reason for one in found.entries] == [
        f"{mark.name} is beside it: its save was never finished"
    ]


@pytest.mark.parametrize(
    ("source", "name", "pattern"),
    [
        ("timm/last.pth.tar", "net-7.pth.tar", r"net-(?P<step>\d+)\.pth\.tar"),
        ("stable_baselines3/best_model.zip", "agent7.zip", r"agent(?P<step>\d+)\.zip"),
        ("keras/ckpt-02-1.48.keras", "k7.keras", r"k(?P<step>\d+)\.keras"),
        ("keras/ckpt-02.weights.h5", "k7.h5", r"k(?P<step>\d+)\.h5"),
        ("flax/flax_model_2.msgpack", "f7.msgpack", r"f(?P<step>\d+)\.msgpack"),
        ("xgboost/xgb_model_6.json", "b7.json", r"b(?P<step>\d+)\.json"),
        ("xgboost/model_4.ubj", "b7.ubj", r"b(?P<step>\d+)\.ubj"),
        ("xgboost/model_4.ubj", "b7.deprecated", r"b(?P<step>\d+)\.deprecated"),
        ("xgboost/model_6.pkl", "b7.pkl", r"b(?P<step>\d+)\.pkl"),
    ],
)
def test_a_pattern_with_a_tools_ending(
    saves: Path, source: str, name: str, pattern: str, tmp_path: Path
) -> None:
    """With the user's pattern a file of any tool is a checkpoint."""
    shutil.copy2(saves / source, tmp_path / name)
    newest = look(tmp_path, pattern=pattern).newest_valid
    assert newest is not None
    assert newest.step == 7

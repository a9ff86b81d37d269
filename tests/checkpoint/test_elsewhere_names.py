"""Names of saves outside the supervised directory: trainers' saves count, by-products do not."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.checkpoint.save_numbers import numbers, series_key, suggest_pattern
from supervisor.survey.elsewhere import directory_walk, save_places
from supervisor.survey.elsewhere.findings import search
from supervisor.survey.elsewhere.sightings import Memo, SaveSearch, Sightings, look
from tests.checkpoint.test_elsewhere import again, only, request, series, write

# Each is a single file written after the first step, so its name alone decides.
BY_PRODUCTS = [
    *("eval/step_100/generations.pkl", "val_results/epoch_3/detections.pkl", "eval/epoch_1.pt"),
    *("evals/step_50/out.pkl", "validation/epoch_2.pt", "eval/model_10/preds.pkl"),
    *("results/epoch_1.pkl", "metrics/epoch_1.pkl", "figs/epoch_3.npz", "vis/step_100.npz"),
    *("plots/run/epoch_3.pt", "inference/step_10.pt", "out/preds/epoch_1.pt"),
    *("eval/checkpoint-10/generations.json", "results/checkpoint-100/metrics.json"),
    *("roc_epoch_3.npz", "heatmap_step_100.npz", "tsne_epoch_3.pkl", "rewards_step_100.npz"),
    *("attn_maps_step_10.pt", "generated_step_100.pt", "masks_epoch_1.pt", "curves_epoch_2.pt"),
    *("attention_weights_step_10.pt", "mem_snapshot_100.pickle", "gpu_snapshot_100.pickle"),
    *("code_snapshot_1.tar.gz", "src_checkpoint_1.zip", "epoch_1.pkl", "step_100/labels.pkl"),
    *("point_cloud/iteration_7000/point_cloud.ply", "mesh/iteration_30/mesh.obj"),
]
PAIRS = [
    *("item_{}.pt", "labels_{}.pt", "mol_{}.pt", "frames_{}.pt", "{}.pt", "CIFAR/{}.pt"),
    *("user_{}.pt", "train_{}.pt", "results/{}.pkl", "train_gpt2_00000{}.bin", "masks_{}.pt"),
    *("eval/step_{}/generations.pkl", "roc_epoch_{}.npz", "sub-0{}.npz", "text_{}.bin"),
]
DOWNLOADS = [
    *(("vgg16.pth", "vgg19.pth"), ("large-v2.pt", "large-v3.pt"), ("yolov5.pt", "yolov8.pt")),
    *(("ViT-B-16.pt", "ViT-B-32.pt"), ("resnet18.pt", "resnet50.pt")),
]


@pytest.mark.parametrize("file", BY_PRODUCTS)
def test_one_by_product_is_no_save(tmp_path: Path, file: str) -> None:
    """Evaluations, plots, profiles and program copies named by step or epoch are no saves."""
    write(tmp_path / file)
    assert search(request(tmp_path)).saves == ()


@pytest.mark.parametrize("steps_seen", [True, False])
@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_of_data_files_is_no_series(tmp_path: Path, name: str, steps_seen: bool) -> None:
    """Two data files prepared one after the other are no series of saves."""
    series(tmp_path, name.format(1), name.format(2))
    assert search(request(tmp_path, steps_seen=steps_seen)).saves == ()


@pytest.mark.parametrize("steps_seen", [True, False])
@pytest.mark.parametrize("names", DOWNLOADS)
def test_a_pair_of_downloads_is_no_series(
    tmp_path: Path, names: tuple[str, str], steps_seen: bool
) -> None:
    """Two models that differ in size or version are no series of saves."""
    series(tmp_path, *names)
    assert search(request(tmp_path, steps_seen=steps_seen)).saves == ()


@pytest.mark.parametrize(
    "file",
    [
        *(
            "audio_lm/step_100.pt",
            "image_classifier/epoch_3.pt",
            "image-classifier/step_9/model.pt",
        ),
        *(
            "tokenizer_training/step_100/model.pt",
            "image_gen/epoch_3.pt",
            "audio-lm/step_3/a.distcp",
        ),
        *(
            "results/step_100.pt",
            "results/exp1/step_100.pt",
            "results/model_1.pt",
            "exp-eval/step_3.pt",
        ),
        *("eval/checkpoints/step_3.pt", "outputs/epoch_3.pt", "image_encoder_step_3.pt"),
        *("data_parallel_step_10.pt", "models/5000.zip", "sb/best_model_3.pkl"),
    ],
)
def test_an_ordinary_saver_is_found(tmp_path: Path, file: str) -> None:
    """A directory named after what is trained holds saves, also if the name has a data word."""
    write(tmp_path / file)
    assert len(search(request(tmp_path)).saves) == 1


@pytest.mark.parametrize(
    "name",
    [
        *("epoch_{}.pkl", "step_{}/xyz.npz", "w{}0.bin", "G_{}00.pth", "flowers_epoch_{}.pt"),
        *("featurenet_{}.pt", "text_encoder_{}.pt", "exp/{}000.pt"),
        *("model_{}.json", "xgb_model_{}.json", "model_{}0.txt"),
    ],
)
def test_two_saves_say_more_than_one(tmp_path: Path, name: str) -> None:
    """An ambiguous name counts once a second of its kind was written at a later time."""
    write(tmp_path / name.format(1))
    assert search(request(tmp_path)).saves == ()
    write(tmp_path / name.format(2))
    assert search(request(tmp_path)).saves == ()
    write(tmp_path / name.format(2), 101.0)
    assert len(only(search(request(tmp_path))).names) == 2


@pytest.mark.parametrize(
    "name", ["graph_{}.pt", "text2image_{}.pt", "{}.pkl", "{}.pt", "model_{}.json", "out_{}.h5"]
)
def test_an_argument_speaks_for_a_name(tmp_path: Path, name: str) -> None:
    """Two files of a series count where `--output_dir` leads, even in a directory `features`."""
    series(tmp_path / "features", name.format(10), name.format(20))
    saves = only(search(request(tmp_path, places=(tmp_path / "features",))))
    assert saves.step == 20
    assert saves.is_named


def test_an_algorithms_archive_that_is_written_again(tmp_path: Path) -> None:
    """stable-baselines3's `ppo.zip` counts only in a directory that an argument names."""
    asked = request(tmp_path, places=(tmp_path / "out",))
    for after_s in (100.0, 200.0):
        for file in ("out/ppo.zip", "out/history.pkl", "out/code.zip", "ppo.zip"):
            write(tmp_path / file, after_s)
        result = search(asked)
        asked = again(asked, result)
    assert only(result).names == ("ppo.zip",)
    assert only(result).directory == tmp_path / "out"


@pytest.mark.parametrize("mark", ["_CHECKPOINT_METADATA", "commit_success.txt"])
@pytest.mark.parametrize("is_named", [True, False])
def test_orbax_is_recognised(tmp_path: Path, mark: str, is_named: bool) -> None:
    """A directory `100` with orbax's mark is a checkpoint, and no pattern is suggested."""
    series(tmp_path, f"out/100/{mark}", f"out/200/{mark}", "out/300/notes.txt")
    places = (tmp_path / "out",) if is_named else ()
    saves = only(search(request(tmp_path, places=places)))
    assert saves.names == ("200", "100")
    assert saves.is_recognised
    assert saves.suggested_pattern is None
    assert saves.step == 200
    assert search(request(tmp_path, places=places, supervised=tmp_path / "out")).saves == ()


@pytest.mark.parametrize("name", ["checkpoints", "ckpts", "outputs"])
@pytest.mark.parametrize("is_named", [True, False])
def test_a_link_called_checkpoints_is_followed(tmp_path: Path, name: str, is_named: bool) -> None:
    """A link `checkpoints` to another disk is followed; a link in it or another user's is not."""
    cwd, far = tmp_path / "cwd", tmp_path / "far/data"
    write(far / "step-10.pt")
    write(tmp_path / "further/step-20.pt")
    (far / "checkpoints").symlink_to(tmp_path / "further")
    (far / "outputs").symlink_to(cwd)
    place = cwd / "place" if is_named else cwd
    place.mkdir(parents=True)
    (place / name).symlink_to(far)
    asked = request(cwd, places=(place,) if is_named else ())
    assert only(search(asked)).directory == far
    assert search(replace(asked, supervised=place / name)).saves == ()
    assert search(replace(asked, uid=os.getuid() + 1)).saves == ()
    (tmp_path / "far/.supervisor").mkdir()
    assert search(asked).saves == ()


@pytest.mark.parametrize("marker", ["pyvenv.cfg", "conda-meta/history", "CACHEDIR.TAG"])
def test_a_project_that_is_an_environment(tmp_path: Path, marker: str) -> None:
    """After `python -m venv .` the project's saves are found, and its lib/ is passed over."""
    write(tmp_path / marker)
    write(tmp_path / "lib/python3/model_1.pt")
    write(tmp_path / "out/model_1.pt")
    write(tmp_path / "out/env/model_1.pt")
    write(tmp_path / "out/env" / marker)
    assert only(search(request(tmp_path))).directory == tmp_path / "out"


def test_a_working_directory_that_is_another_runs(tmp_path: Path) -> None:
    """Another run with its records in the working directory excludes that directory only."""
    write(tmp_path / "out/model_1.pt")
    (tmp_path / ".supervisor").mkdir()
    assert only(search(request(tmp_path))).directory == tmp_path / "out"
    (tmp_path / "out/.supervisor").mkdir()
    assert search(request(tmp_path)).saves == ()


@pytest.mark.parametrize("files", [("word2vec.model",), ("resnet50.pt",)])
def test_the_pattern_of_a_name_without_a_step(tmp_path: Path, files: tuple[str, ...]) -> None:
    """A number that is a part of a word is no step."""
    name = files[0]
    assert suggest_pattern(files) == name.replace(".", r"\.") + "(?P<step>)"
    asked = request(tmp_path)
    write(tmp_path / name)
    asked = again(asked, search(asked))
    write(tmp_path / name, 200.0)
    assert only(search(asked)).step is None


@pytest.mark.parametrize(
    "name", ["m" + "a1" * 118 + "{:05}.bin", "model" * 40 + "_{:05}.pt", "1_" * 120 + "{:05}.bin"]
)
def test_odd_names_take_no_longer_than_allowed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of names of 240 characters: the search checks its time budget at each name."""
    for number in range(3000):
        (tmp_path / name.format(number)).touch()
    monkeypatch.setattr(directory_walk, "MOST_SECONDS", 0.02)
    began = time.monotonic()
    result = search(request(tmp_path))
    assert time.monotonic() - began < 2.0
    assert result.is_truncated


def test_of_very_many_numbers_the_last_count() -> None:
    """At most the last eight numbers of a name count, and a series' key leaves all numbers out."""
    name = "x1y" * 60
    assert len(numbers(name)) == 8
    assert numbers(name)[-1].end == len(name) - 1
    assert series_key(name) == series_key(name.replace("1", "2"))


def order(cwd: Path, **changes: object) -> SaveSearch:
    """A request to look for the saves of a trainer that has ended."""
    asked = SaveSearch(
        command=("train",), cwd=str(cwd), variables={}, run_id="mine", run_dir=str(cwd / "run"),
        supervised=str(cwd / "run"), pattern=None, main_pid=None, since=time.time() - 900.0,
        until=None, steps_seen=True, takes_stock=False,
    )  # fmt: skip
    return replace(asked, **changes)  # type: ignore[arg-type]


def test_what_a_look_hands_on_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer of months opens a new log each hour, and names ever more directories."""
    opened = [tmp_path / f"{n}/{name}" for n in range(300) for name in ("a.log", "b.log")]
    named = [tmp_path / f"place{n}" for n in range(300)]
    monkeypatch.setattr(save_places, "open_for_writing", lambda _: tuple(opened))
    monkeypatch.setattr(save_places, "places", lambda *_: tuple(named))
    memo = Memo(places=("/old",), known_before=tuple(map(str, range(30_000))))
    found = look(order(tmp_path, memo=memo, takes_stock=True))
    assert found.is_truncated
    assert len(found.memo.known_before) == 20_000
    assert len(found.memo.places) == 256
    assert str(named[-1]) in found.memo.places
    assert len(found.memo.open_files) == len({Path(p).parent for p in found.memo.open_files}) == 256


def test_a_look_says_that_it_saw_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that saw only a part says so, also through JSON and when it only takes stock."""
    for number in range(20):
        write(tmp_path / f"weights-{number}.bin")
    for takes_stock in (True, False):
        monkeypatch.setattr(directory_walk, "MOST_NAMES", 60_000)
        assert not look(order(tmp_path, takes_stock=takes_stock)).is_truncated
        monkeypatch.setattr(directory_walk, "MOST_NAMES", 5)
        found = look(order(tmp_path, takes_stock=takes_stock))
        assert found.is_truncated
        assert Sightings.from_json(json.loads(json.dumps(found.to_json()))) == found

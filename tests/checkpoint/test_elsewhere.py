"""Saves outside the directory in which the supervisor looks: which count, and which never do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from supervisor.checkpoint import owner_mark
from supervisor.checkpoint.names import parse_name
from supervisor.survey.elsewhere import directory_walk, save_places, sightings
from supervisor.survey.elsewhere.advice import advice
from supervisor.survey.elsewhere.findings import inventory, search
from supervisor.survey.elsewhere.records import (
    DirectorySaves,
    FileLook,
    SearchRequest,
    SearchResult,
)
from supervisor.survey.elsewhere.sightings import Memo, SaveSearch, Sightings

SINCE = time.time() - 1000.0


def request(cwd: Path, **changes: object) -> SearchRequest:
    """A search in a working directory for an attempt whose first step was 1000 s ago."""
    asked = SearchRequest(
        places=(),
        working_directories=(cwd,),
        open_files=(),
        since=SINCE,
        steps_seen=True,
        until=None,
        uid=os.getuid(),
        supervised=cwd / "runs/mine",
        run_id="mine",
        run_dir=cwd / "runs/mine",
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def write(path: Path, after_s: float = 100.0, text: str = "weights") -> Path:
    """Write a file whose time is `after_s` seconds after the first step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (SINCE + after_s, SINCE + after_s))
    return path


def series(folder: Path, *names: str) -> None:
    """Write files one after the other, 100 s apart."""
    for number, name in enumerate(names, 1):
        write(folder / name, number * 100.0)


def only(result: SearchResult) -> DirectorySaves:
    """The one directory that the search found."""
    assert len(result.saves) == 1, result.saves
    return result.saves[0]


def again(asked: SearchRequest, result: SearchResult) -> SearchRequest:
    """The request of the next search, which knows by way of JSON what this result saw."""
    memo = Memo.from_json(json.loads(json.dumps(Memo(seen=result.seen).to_json())))
    return replace(asked, before=memo.seen)


NUMBERED = {
    "hf": ["out/checkpoint-10/model.safetensors", "out/checkpoint-20/model.safetensors"],
    "toy": ["out/checkpoint-10/state.txt", "out/checkpoint-20/state.txt"],
    "accelerate": ["step_10/model.bin", "step_20/model.bin"],
    "deepspeed": [f"o/global_step{n}/mp_rank_00_model_states.pt" for n in (10, 20)],
    "zero": [f"o/checkpoint-{n}/global_step{n}/mp_rank_00_model_states.pt" for n in (10, 20)],
    "megatron": [f"m/iter_00000{n}/mp_rank_00/model_optim_rng.pt" for n in (10, 20)],
    "dcp": [f"dcp/step-{n}/__0_0.distcp" for n in (10, 20)],
    "orbax": [f"ckpt/{n}/default/d/abc" for n in (10, 20)],
    "ray": [f"ray/checkpoint_00000{n}/data.pkl" for n in (1, 2)],
    "fsdp": [f"o/epoch=0-step={n}.ckpt/__0_0.distcp" for n in (10, 20)],
    "lightning": [f"l/epoch=0-step={n}.ckpt" for n in (10, 20)],
    "loss": [f"l/epoch={n}-val_loss=0.{n}.ckpt" for n in (3, 4)],
    "nemo": [f"n/m--val_loss=2.1-step={n}-consumed_samples=80.0.ckpt" for n in (10, 20)],
    "detectron2": [f"d/model_00000{n}.pth" for n in (10, 20)],
    "torchvision": [f"model_{n}.pth" for n in (1, 2)],
    "fairseq": [f"checkpoints/checkpoint_3_{n}.pt" for n in (10, 20)],
    "composer": [f"ep0-ba{n}-rank0.pt" for n in (10, 20)],
    "timm": [f"t/checkpoint-{n}.pth.tar" for n in (1, 2)],
    "sb3": [f"logs/rl_model_{n}_steps.zip" for n in (10, 20)],
    "keras": [f"cp-00{n}.weights.h5" for n in (10, 20)],
    "flax": [f"train_state_{n}.msgpack" for n in (10, 20)],
    "tensorflow": [f"tf/ckpt-{n}.index" for n in (1, 2)],
    "xgboost": [f"model_{n}.ubj" for n in (1, 2)],
    "cyclegan": [f"{n}_net_G.pth" for n in (5, 10)],
    "plain": [f"weights-{n}.bin" for n in (10, 20)],
    "glued": [f"w{n}.bin" for n in (10, 20)],
    "mmengine": [f"iter_{n}.pth" for n in (10, 20)],
}


@pytest.mark.parametrize("files", NUMBERED.values(), ids=NUMBERED)
def test_a_numbered_name_counts(tmp_path: Path, files: list[str]) -> None:
    """Two saves of today's trainers count, files or directories of any content, newest first."""
    series(tmp_path, *files)
    saves = only(search(request(tmp_path)))
    assert len(saves.names) == 2
    newest = saves.directory / saves.names[0]
    assert (tmp_path / files[1]) in (newest, *newest.rglob("*"))
    assert saves.is_directories == newest.is_dir()
    assert saves.newest == pytest.approx(SINCE + 200, abs=0.01)
    if saves.is_recognised:
        assert saves.suggested_pattern is None
    else:
        assert saves.suggested_pattern is not None
        for name in saves.names:
            parsed = parse_name(name, saves.suggested_pattern)
            assert parsed is not None
            assert parsed.step is not None
    assert saves.step is not None or parse_name(saves.names[0]) is not None


@pytest.mark.parametrize("files", NUMBERED.values(), ids=NUMBERED)
def test_without_steps_a_series_has_to_grow(tmp_path: Path, files: list[str]) -> None:
    """Without steps, only two saves of different times count, under a name that speaks of saves."""
    asked = request(tmp_path, steps_seen=False)
    write(tmp_path / files[0])
    assert search(asked).saves == ()
    write(tmp_path / files[1])
    assert search(asked).saves == ()
    write(tmp_path / files[1], 200.0)
    found = search(asked).saves
    # `w10.bin` may be anything.
    assert len(found) == (0 if files == NUMBERED["glued"] else 1)


@pytest.mark.parametrize(
    "file",
    ["weights-10.bin", "out/checkpoint-10/state.bin", "net_5.pth", "model_epoch_3.pkl"],
)
def test_one_numbered_save_is_enough_where_steps_are_seen(tmp_path: Path, file: str) -> None:
    """One save counts where steps are seen: a trainer may die after its first save."""
    write(tmp_path / file)
    assert len(search(request(tmp_path)).saves) == 1


@pytest.mark.parametrize(
    ("names", "pattern", "step"),
    [
        (["weights-10.bin", "weights-20.bin"], r"weights-(?P<step>\d+)\.bin", 20),
        (["a+b(1)_10.bin", "a+b(1)_20.bin"], r"a\+b\(\d+\)_(?P<step>\d+)\.bin", 20),
        (["my_model_9_of.zip", "my_model_19_of.zip"], r"my_model_(?P<step>\d+)_of\.zip", 19),
        (["resnet50_1.pth", "resnet50_2.pth"], r"resnet\d+_(?P<step>\d+)\.pth", 2),
        (["1_net_G.pth", "2_net_G.pth"], r"(?P<step>\d+)_net_G\.pth", 2),
    ],
)
def test_the_suggested_pattern(tmp_path: Path, names: list[str], pattern: str, step: int) -> None:
    """The pattern takes the digits that count steps, and escapes all special characters."""
    series(tmp_path, *names)
    saves = only(search(request(tmp_path)))
    assert saves.suggested_pattern == pattern
    assert saves.step == step
    assert all(re.fullmatch(pattern, name) for name in names)


@pytest.mark.parametrize("name", ["ckpt.pt", "last.pth.tar", "checkpoint.pt"])
def test_a_known_name_counts_at_once(tmp_path: Path, name: str) -> None:
    """nanoGPT's `ckpt.pt`: the next attempt would write over its only save."""
    write(tmp_path / "out" / name)
    assert search(request(tmp_path, steps_seen=False)).saves == ()
    saves = only(search(request(tmp_path)))
    assert (saves.directory, saves.names) == (tmp_path / "out", (name,))
    assert saves.suggested_pattern is None
    assert saves.how_to_resume is not None
    assert "resume" in saves.how_to_resume
    known = frozenset({str(tmp_path / "out" / name)})
    assert search(request(tmp_path, known_before=known)).saves == ()


@pytest.mark.parametrize("name", ["best_state.bin", "model.safetensors"])
@pytest.mark.parametrize("way", ["in place", "renamed"])
def test_one_name_written_a_second_time(tmp_path: Path, name: str, way: str) -> None:
    """Any other name counts once two searches have seen it with different times."""
    asked = request(tmp_path)
    write(tmp_path / "out" / name)
    first = search(asked)
    assert first.saves == ()
    assert search(again(asked, first)).saves == ()
    if way == "renamed":
        write(tmp_path / "out/new", 200.0, "weights, and more").rename(tmp_path / "out" / name)
    else:
        write(tmp_path / "out" / name, 200.0)
    second = search(again(asked, first))
    saves = only(second)
    assert saves.directory == tmp_path / "out"
    assert saves.names == (name,)
    assert saves.suggested_pattern == re.escape(name) + "(?P<step>)"
    # Later searches find it, too.
    assert search(again(asked, second)).saves == second.saves
    # Where no steps are seen, only a series of names counts.
    assert search(replace(again(asked, second), steps_seen=False)).saves == ()


def test_a_file_that_grows_is_written_once(tmp_path: Path) -> None:
    """A long save, or a file that is appended to, does not count as a second save."""
    asked = request(tmp_path)
    path = tmp_path / "model.bin"
    result = search(asked)
    for size in range(1, 5):
        write(path, 100.0 * size, "x" * size)
        result = search(again(asked, result))
        assert result.saves == ()
    now = time.time()
    write(tmp_path / "weights.pt", now - SINCE, "half")
    result = search(again(asked, result))
    write(tmp_path / "weights.pt", now - SINCE + 1, "all of it")
    assert search(again(asked, result)).saves == ()


def test_a_directory_written_again_and_again(tmp_path: Path) -> None:
    """`last/` with weights and optimizer is one save, under the directory's name."""
    asked = request(tmp_path)
    for after_s in (100.0, 200.0):
        for name in ("model.safetensors", "optimizer.bin", "rng_state_0.pth"):
            write(tmp_path / "out/last" / name, after_s)
        result = search(asked)
        asked = again(asked, result)
    saves = only(result)
    assert (saves.directory, saves.names) == (tmp_path / "out", ("last",))
    assert saves.is_directories
    assert saves.suggested_pattern == "last(?P<step>)"


DATA = {
    "tokens": [f"shard-0000{n}.bin" for n in range(3)],
    "train": [f"train_{n}.bin" for n in range(3)],
    "fineweb": [f"fineweb_val_00000{n}.bin" for n in range(3)],
    "tfevents": [f"events.out.tfevents.12{n}" for n in range(3)],
    "logs": [f"log_{n}.txt" for n in range(3)],
    "metrics": [f"metrics-{n}0.json" for n in range(3)],
    "images": [f"sample_{n}00.png" for n in range(3)],
    "sample tensors": [f"samples_step_{n}00.pt" for n in range(3)],
    "predictions": [f"model_predictions_epoch_{n}.pt" for n in range(3)],
    "traces": [f"trace_{n}.json" for n in range(3)],
    "memory": [f"memory_snapshot_{n}.pickle" for n in range(3)],
    "cores": [f"core.{n}" for n in range(3)],
    "wandb": [f"wandb/run-1/files/model-{n}.h5" for n in range(3)],
    "mlflow": [f"mlruns/0/abc/artifacts/model_{n}.pt" for n in range(3)],
    "pyc": [f"__pycache__/model_{n}.pyc" for n in range(3)],
    "arrow": [f"cache-abc12{n}.arrow" for n in range(3)],
    "arrays": [f"emb_{n}.npy" for n in range(3)],
    "embeddings": [f"embeddings_{n}.pt" for n in range(3)],
    "video": [f"step_{n}.mp4" for n in range(3)],
    "tokenizer": ["tokenizer.model", "tokenizer_1.model", "tokenizer_2.model"],
    "graphs": [f"processed/data_{n}.pt" for n in range(3)],
    "latents": [f"latents/{n}.pt" for n in range(3)],
    "webdataset": [f"0000{n}.tar" for n in range(3)],
    "pictures": [f"step_{n}/a.png" for n in range(3)],
    "evaluations": [f"epoch_{n}/results.json" for n in range(3)],
    "samples": [f"samples/step_{n}/a.bin" for n in range(3)],
    "hub": [f"hf/models--a--b/snapshots/x/model_{n}.safetensors" for n in range(3)],
    "torch hub": [f"c/torch/hub/checkpoints/model_{n}.pth" for n in range(3)],
    "inductor": [f"torchinductor_me/a/model_{n}.bin" for n in range(3)],
    "shards": [f"model-0000{n}-of-00003.safetensors" for n in range(1, 4)],
    "ranks": [f"mp_rank_0{n}_model_states.pt" for n in range(3)],
    "random": [f"rng_state_{n}.pth" for n in range(3)],
    "hidden": [f".tmp/model_{n}.pt" for n in range(3)],
    "half": [f"model_{n}.pt.tmp" for n in range(3)],
    "site": [f"lib/site-packages/x/model_{n}.pt" for n in range(3)],
    "staging": [f"checkpoint-{n}.tmp/model.txt" for n in range(3)],
}


@pytest.mark.parametrize("files", DATA.values(), ids=DATA)
@pytest.mark.parametrize("steps_seen", [True, False])
def test_data_does_not_count(tmp_path: Path, files: list[str], steps_seen: bool) -> None:
    """Data sets, by-products, downloads and caches do not count, however they grow."""
    series(tmp_path, *files)
    asked = request(tmp_path, steps_seen=steps_seen)
    assert search(asked).saves == ()
    for name in ("train.bin", "buffer.npz", "history.pkl", "evaluations.npz"):
        write(tmp_path / name, 500.0)
    result = search(asked)
    for name in ("train.bin", "buffer.npz", "history.pkl", "evaluations.npz"):
        write(tmp_path / name, 600.0)
    assert search(again(asked, result)).saves == ()


@pytest.mark.parametrize(
    "files",
    [
        [f"graph_{n}.h5" for n in range(3)],
        [f"{n}.npz" for n in range(3)],
        [f"out_{n}.bin" for n in range(3)],
        ["resnet18.pt", "resnet50.pt"],
    ],
)
def test_without_steps_what_may_be_data_does_not_count(tmp_path: Path, files: list[str]) -> None:
    """A script that only prepares data also writes numbered files where its arguments say."""
    series(tmp_path / "o", *files)
    asked = request(tmp_path, steps_seen=False, places=(tmp_path / "o",))
    assert search(asked).saves == ()


@pytest.mark.parametrize("file", ["weights-10.bin", "checkpoint-10/state.bin"])
def test_the_window(tmp_path: Path, file: str) -> None:
    """A save before the first step, after the end, or known before is not this attempt's."""
    write(tmp_path / file, 100.0)
    asked = request(tmp_path)
    assert search(asked).saves
    assert search(replace(asked, since=None)).saves == ()
    assert search(replace(asked, since=SINCE + 101)).saves == ()
    assert search(replace(asked, until=SINCE + 90)).saves == ()
    assert search(replace(asked, until=SINCE + 99)).saves
    known = inventory(asked)
    assert known == {str(tmp_path / file.partition("/")[0])}
    assert search(replace(asked, known_before=known)).saves == ()
    write(tmp_path / file.replace("10", "20"), 200.0)
    saves = only(search(replace(asked, known_before=known)))
    assert saves.names == (file.partition("/")[0].replace("10", "20"),)


def test_a_name_of_before_does_not_count_when_it_is_written_again(tmp_path: Path) -> None:
    """A file from before the first step, such as a download, does not count when written again."""
    path = write(tmp_path / "model.pt", -100.0)
    asked = request(tmp_path)
    asked = replace(asked, known_before=inventory(asked))
    for after_s in (100.0, 200.0, 300.0):
        write(path, after_s)
        result = search(asked)
        assert result.saves == ()
        asked = again(asked, result)


def test_an_empty_file_or_directory_is_no_save(tmp_path: Path) -> None:
    """A save has content."""
    write(tmp_path / "weights-10.bin", text="")
    (tmp_path / "checkpoint-10").mkdir()
    write(tmp_path / "checkpoint-20/state.bin", text="")
    assert search(request(tmp_path)).saves == ()


def test_another_users_files_do_not_count(tmp_path: Path) -> None:
    """Other users save on a shared disk, too."""
    write(tmp_path / "weights-10.bin")
    write(tmp_path / "checkpoint-10/state.bin")
    assert search(request(tmp_path, uid=os.getuid() + 1)).saves == ()


def mark(path: Path, run_id: str, **changes: object) -> None:
    """Write a mark that says which run owns a directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = replace(owner_mark.mark_of(run_id, "gpt", path.parent), **changes)  # type: ignore[arg-type]
    path.write_bytes(made.to_json())


@pytest.mark.parametrize("is_named", [False, True])
def test_what_another_run_owns(tmp_path: Path, is_named: bool) -> None:
    """A directory of another run does not count: by run directory or mark, however reached."""
    for name in ("run", "beside", "inside", "odd", "link"):
        write(tmp_path / name / "deep/weights-10.bin")
    (tmp_path / "run/.supervisor").mkdir()
    mark(tmp_path / ".beside.supervised-by", "other")
    mark(tmp_path / "inside/.inside.supervised-by", "other")
    (tmp_path / ".odd.supervised-by").write_text("{}")
    (tmp_path / ".link.supervised-by").write_text("[" * 100_000)
    asked = request(tmp_path)
    if is_named:
        folders = ("run", "beside", "odd", "link")
        deep = tuple(tmp_path / name / "deep" for name in folders)
        asked = replace(asked, places=(*(tmp_path / name for name in folders), *deep))
    assert search(asked).saves == ()
    assert inventory(asked) == frozenset()


def test_what_this_run_owns(tmp_path: Path) -> None:
    """A run's own mark and its own run directory exclude nothing."""
    write(tmp_path / "out/weights-10.bin")
    mark(tmp_path / ".out.supervised-by", "mine")
    write(tmp_path / "runs/mine/sub/weights-10.bin")
    (tmp_path / "runs/mine/.supervisor").mkdir()
    found = search(request(tmp_path)).saves
    assert {saves.directory for saves in found} == {tmp_path / "out", tmp_path / "runs/mine/sub"}


def test_where_it_looks(tmp_path: Path) -> None:
    """Searched are six levels below a place, five below a working directory, one at a file."""
    cwd, place, opened = tmp_path / "cwd", tmp_path / "place", tmp_path / "opened"
    for folder, levels in ((cwd, 5), (place, 6), (opened, 1)):
        deep = folder.joinpath(*["d"] * levels)
        write(deep / "weights-10.bin")
        write(deep / "d/weights-20.bin")
    asked = request(cwd, places=(place,), open_files=(opened / "train.log",))
    found = search(asked).saves
    assert [saves.is_named for saves in found] == [True, False, False]
    assert {saves.names for saves in found} == {("weights-10.bin",)}


def test_links_and_caches(tmp_path: Path) -> None:
    """A link inside is not followed, a place that is a link is searched, a cache is left out."""
    cwd = tmp_path / "cwd"
    write(tmp_path / "far/weights-10.bin")
    for name in ("cache", "venv/lib"):
        write(cwd / name / "weights-10.bin")
    (cwd / "venv/pyvenv.cfg").touch()
    (cwd / "link").symlink_to(tmp_path / "far")
    (cwd / "loop").symlink_to(cwd)
    asked = request(cwd, caches=(cwd / "cache",))
    assert search(asked).saves == ()
    places = (cwd / "link", cwd / "cache", cwd / "absent", cwd / "link/nul\0")
    found = search(replace(asked, places=places)).saves
    assert {saves.directory for saves in found} == {tmp_path / "far", cwd / "cache"}


@pytest.mark.parametrize("wide", ["/", "/home", "/usr", "/etc", "/proc", "/sys/kernel"])
def test_directories_of_the_system(tmp_path: Path, wide: str) -> None:
    """A working directory that holds the whole system is searched two levels deep at most."""
    asked = request(Path(wide), supervised=tmp_path, run_dir=tmp_path)
    began = time.monotonic()
    for listing in directory_walk.walk(asked, directory_walk.WalkBudget()):
        assert len(listing.path.parts) <= 4
        assert listing.path.parts[:2] not in {("/", "usr"), ("/", "proc"), ("/", "sys")}
    assert time.monotonic() - began < 10


def test_a_home_is_not_searched_deeply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home directory holds all that a user ever did: two levels are searched."""
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "a/b/weights-10.bin")
    write(tmp_path / "a/b/c/weights-20.bin")
    assert only(search(request(tmp_path))).names == ("weights-10.bin",)


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories written last are searched first, and the result says if a bound was reached."""
    for number in range(50):
        write(tmp_path / f"old{number}/weights-1.bin")
        os.utime(tmp_path / f"old{number}", (SINCE, SINCE))
    write(tmp_path / "new/weights-2.bin")
    monkeypatch.setattr(directory_walk, "MOST_NAMES", 60)
    asked = request(tmp_path, before={"/gone.pt": FileLook(1, 2, 3, 1)})
    result = search(asked)
    assert result.is_truncated
    assert "/gone.pt" in result.seen
    assert tmp_path / "new" in {saves.directory for saves in result.saves}
    monkeypatch.setattr(directory_walk, "MOST_NAMES", 60_000)
    assert not search(asked).is_truncated
    monkeypatch.setattr(directory_walk, "MOST_SECONDS", -1.0)
    assert search(asked).saves == ()


def test_a_directory_with_very_many_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among 5,000 numbered files and 1,000 numbered directories, the newest are found."""
    monkeypatch.setattr(directory_walk, "MOST_SECONDS", 60.0)
    for number in range(1, 5001):
        (tmp_path / f"weights-{number}.bin").write_text("x")
    for number in range(1, 1001):
        write(tmp_path / f"d/checkpoint-{number}/state.bin", number / 10)
    found = {saves.directory: saves for saves in search(request(tmp_path)).saves}
    assert found[tmp_path].step is not None
    assert found[tmp_path].step > 3000
    assert found[tmp_path / "d"].names[0] == "checkpoint-1000"


def test_what_the_supervisor_sees_itself(tmp_path: Path) -> None:
    """Known names in the supervised directory do not count; unknown names, and names below, do."""
    out = tmp_path / "out"
    series(out, "checkpoint-10/state.bin", "best_3.pt", "best_4.pt")
    asked = request(tmp_path, supervised=out)
    assert search(asked).saves == ()
    assert only(search(replace(asked, supervised=tmp_path))).directory == out
    (tmp_path / "link").symlink_to(out)
    assert search(replace(asked, supervised=tmp_path / "link")).saves == ()
    write(tmp_path / "unknown/weights-10.bin")
    saves = only(search(request(tmp_path / "unknown", supervised=tmp_path / "unknown")))
    assert saves.names == ("weights-10.bin",)
    assert not saves.is_recognised


def test_a_users_pattern(tmp_path: Path) -> None:
    """A name that the user's pattern matches counts and is recognised."""
    write(tmp_path / "o/blob.10.raw")
    assert search(request(tmp_path)).saves == ()
    saves = only(search(request(tmp_path, pattern=r"blob\.(?P<step>\d+)\.raw")))
    assert saves.is_recognised
    assert saves.step == 10


def test_an_experiments_directory_is_no_save(tmp_path: Path) -> None:
    """`llama_model_7/` with checkpoints in it is their directory, not a checkpoint."""
    series(tmp_path, "llama_model_7/checkpoint-10/a", "llama_model_7/checkpoint-20/a")
    saves = only(search(request(tmp_path)))
    assert saves.directory == tmp_path / "llama_model_7"


def test_the_weights_are_named_not_what_goes_with_them(tmp_path: Path) -> None:
    """A recognised series comes first, then weights, then a larger optimizer file."""
    series(tmp_path, "net_1.pth", "net_2.pth")
    write(tmp_path / "optimizer_net-2.pth", 210.0, "moments" * 10)
    assert only(search(request(tmp_path))).names[0] == "net_2.pth"
    write(tmp_path / "step-2.pt")
    assert only(search(request(tmp_path))).names == ("step-2.pt",)


def one(directory: Path, **changes: object) -> DirectorySaves:
    """Saves of a known name in a directory."""
    saves = DirectorySaves(directory, ("checkpoint-10",), 10, True, True, None, SINCE, False, False)
    return replace(saves, **changes)  # type: ignore[arg-type]


def test_advice(tmp_path: Path) -> None:
    """The advice is a configuration line with relative paths, quoted where YAML needs it."""
    supervised = tmp_path / "runs/mine"
    for name, shown in {"out": "out", "a b": "'a b'", "it's": "'it''s'", "7": "'7'"}.items():
        said = advice(one(tmp_path / name), supervised, tmp_path)
        assert said == f"`checkpoints: {{directory: {shown}}}`"
    said = advice(one(Path("/data/x")), supervised, tmp_path)
    assert said == "`checkpoints: {directory: /data/x}`"
    pattern = r"weights-(?P<step>\d+)\.bin"
    said = advice(one(tmp_path / "out", suggested_pattern=pattern), supervised, tmp_path)
    assert said == rf"`checkpoints: {{directory: out, pattern: '{pattern}'}}`"
    assert "directory: ." in advice(one(tmp_path), supervised, tmp_path)


def test_advice_is_yaml(tmp_path: Path) -> None:
    """YAML reads the advised line as the name that was meant, also for odd names."""
    for name in ("a: b", "#x", "no", "1e3", "2026-11-28", "new\nline", 'q"uo', "- x", "{a}", "a,b"):
        saves = one(tmp_path / name, suggested_pattern=r"a'b-(?P<step>\d+)")
        line = advice(saves, tmp_path / "runs", tmp_path).strip("`")
        assert yaml.safe_load(line) == {
            "checkpoints": {"directory": name, "pattern": r"a'b-(?P<step>\d+)"}
        }


@pytest.mark.parametrize(
    ("file", "how"),
    [
        (
            "lightning_logs/version_3/checkpoints/epoch=0-step=10.ckpt",
            "`checkpoints: {directory: lightning_logs}`",
        ),
        (
            "outputs/2026-11-28/12-00-00/ckpt/step-10.pt",
            "(Hydra: `hydra.run.dir=kept`), and write `checkpoints: {directory: kept/ckpt}`",
        ),
        (
            "runs/detect/train7/weights/epoch10.pt",
            "`checkpoints: {directory: runs/detect}`",
        ),
        (
            "lightning_logs/version_3/checkpoints/model-10.pt",
            "(Lightning: `ModelCheckpoint(dirpath='kept')`), and write "
            "`checkpoints: {directory: kept",
        ),
        (
            "runs/detect/train7/weights/model-10.pt",
            "(ultralytics: `project=runs/detect name=train exist_ok=True`), and write "
            "`checkpoints: {directory: runs/detect/train/weights",
        ),
        ("runs/Nov28_12-00-00_host/step-10.pt", "a directory that stays"),
        ("out/20261128_120000/step-10.pt", "a directory that stays"),
        ("PPO_3/rl_model_10_steps.zip", "a directory that stays"),
    ],
)
def test_a_directory_that_is_new_at_each_start(tmp_path: Path, file: str, how: str) -> None:
    """No configuration can name a directory that is new at each start: advise one that stays."""
    write(tmp_path / file)
    saves = only(search(request(tmp_path)))
    assert saves.is_new_each_start
    said = advice(saves, tmp_path / "kept", tmp_path)
    assert how in said
    assert "new at each start" in said
    told = only(search(request(tmp_path, places=(saves.directory,))))
    assert not told.is_new_each_start


@pytest.mark.parametrize(
    "file", ["out/step-10.pt", "v2/step-10.pt", "runs/exp1/step-10.pt", "exp/a/checkpoint-3/x.bin"]
)
def test_a_directory_that_stays(tmp_path: Path, file: str) -> None:
    """A directory stays although a directory above the working directory has a date as name."""
    cwd = tmp_path / "2026-11-28" / "12-00-00" / "version_3"
    write(cwd / file)
    assert not only(search(request(cwd))).is_new_each_start


@pytest.mark.parametrize("setting", ["true", "false"])
def test_ultralytics_says_whether_its_directory_stays(tmp_path: Path, setting: str) -> None:
    """`exist_ok` in ultralytics' own `args.yaml` says whether its directory stays."""
    weights = tmp_path / "my/exp/weights"
    write(weights / "epoch10.pt")
    (weights.parent / "args.yaml").write_text(f"task: detect\nexist_ok: {setting}\n")
    saves = only(search(request(tmp_path, places=(tmp_path / "my/exp",))))
    assert saves.is_new_each_start == (setting == "false")
    if saves.is_new_each_start:
        said = advice(saves, tmp_path / "runs", tmp_path)
        assert "`checkpoints: {directory: my}`" in said


TRAINER = """
import os, sys, time
print("step 1", flush=True)
sys.stdin.readline()
for step in (10, 20):
    os.makedirs(sys.argv[2], exist_ok=True)
    with open(f"{sys.argv[2]}/model-{step}.bin", "w") as file:
        file.write("weights")
    time.sleep(0.2)
print("saved", flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("wrapper", [[], ["bash", "-c", '"$@"; true', "-"]])
def test_a_real_trainer_that_saves_outside(tmp_path: Path, wrapper: list[str]) -> None:
    """From a trainer's processes to the advised line: its argument leads to another directory."""
    cwd, out = tmp_path / "cwd", tmp_path / "disk/out"
    cwd.mkdir()
    write(tmp_path / "disk/out/model-1.bin", 10.0)
    argv = [*wrapper, sys.executable, "-c", TRAINER, "--output_dir", "../disk/out"]
    with subprocess.Popen(
        argv, cwd=cwd, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "step 1\n"
        pids = save_places.processes_of(process.pid)
        commands = save_places.commands_of(pids)
        asked = request(
            cwd,
            places=save_places.places(
                [one.argv for one in commands], [one.cwd for one in commands], os.environ
            ),
            working_directories=save_places.working_directories(commands),
            open_files=save_places.open_for_writing(pids),
        )
        asked = replace(asked, known_before=inventory(asked), since=time.time() - 0.5)
        assert search(asked).saves == ()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "saved\n"
        for pid in reversed(pids):
            os.kill(pid, 9)
    saves = only(search(replace(asked, until=time.time())))
    assert saves.directory == out
    assert saves.names == ("model-20.bin", "model-10.bin")
    assert advice(saves, asked.supervised, cwd) == (
        rf"`checkpoints: {{directory: {out}, pattern: 'model-(?P<step>\d+)\.bin'}}`"
    )


def test_a_look_that_gets_no_answer_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a dead mount the decision goes on without the search, and no second search begins."""
    answer, begun = threading.Event(), []

    def hang(_: SaveSearch) -> Sightings:
        begun.append(1)
        answer.wait(60)
        return Sightings((), Memo())

    monkeypatch.setattr(sightings, "look", hang)
    monkeypatch.setattr(sightings, "_PATIENCE_S", 0.1)
    order = SaveSearch(
        ("a",), str(tmp_path), {}, "r", str(tmp_path), str(tmp_path), None, None, 0.0, None,
        steps_seen=True, takes_stock=False,
    )  # fmt: skip
    assert sightings.look_in_time(order) is None
    assert sightings.look_in_time(order) is None
    assert begun == [1]
    answer.set()
    assert sightings._unanswered is not None
    sightings._unanswered.join(30)
    assert sightings.look_in_time(order) == Sightings((), Memo())


def test_what_is_mounted_from_elsewhere_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A remote mount below the working directory is searched only if an argument names it."""
    write(tmp_path / "share" / "checkpoint-10.pt")
    remote = frozenset({tmp_path / "share"})
    monkeypatch.setattr(directory_walk, "remote_mount_points", lambda: remote)
    assert search(request(tmp_path)).saves == ()
    named = replace(request(tmp_path), places=(tmp_path / "share",))
    assert len(search(named).saves) == 1

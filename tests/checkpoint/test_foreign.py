"""Checkpoints of other trainers: their layouts, and what a torn one lacks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.checkpoint.validate import validate
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, as_json, write_files
from tests.checkpoint.test_structure import safetensors, tensor

Layout = Callable[[Files, int], Files]
WEIGHTS = safetensors({"w": tensor(0, 8)}, bytes(8))


def guide(files: Files, step: int) -> Files:
    """The resume guide's five files."""
    names = ("model.pt", "optimizer.pt", "scheduler.pt", "ema_model.pt")
    state = as_json(global_step=step, current_epoch=step // 1000)
    return {**{name: files[name] for name in names}, "training_state.json": state}


def hugging_face(files: Files, step: int) -> Files:
    """HF Trainer's files, in the order in which it writes them."""
    return {
        "config.json": b"{}",
        "model.safetensors": WEIGHTS,
        "training_args.bin": files["scheduler.pt"],
        "optimizer.pt": files["optimizer.pt"],
        "scheduler.pt": files["scheduler.pt"],
        "rng_state_0.pth": files["scheduler.pt"],
        "rng_state_1.pth": files["scheduler.pt"],
        "trainer_state.json": as_json(global_step=step, epoch=step / 1000),
    }


def accelerate(files: Files, step: int) -> Files:
    """The files of accelerate's save_state and of diffusers."""
    return {
        "unet/diffusion_pytorch_model.safetensors": WEIGHTS,
        "optimizer.bin": files["optimizer.pt"],
        "scheduler.bin": files["scheduler.pt"],
        "random_states_0.pkl": files["scheduler.pt"],
    }


def sharded(files: Files, step: int) -> Files:
    """The files of FSDP with DCP folders, and sharded safetensors with their index."""
    shards = [f"model-0000{index}-of-00002.safetensors" for index in (1, 2)]
    return {
        **dict.fromkeys(shards, WEIGHTS),
        "model.safetensors.index.json": as_json(weight_map={"a": shards[0], "b": shards[1]}),
        "optimizer_0/__0_0.distcp": b"data",
        "optimizer_0/__1_0.distcp": b"data",
        "optimizer_0/.metadata": b"\x80\x04N.",
    }


def deepspeed(files: Files, step: int) -> Files:
    """The files of a DeepSpeed tag of three ranks."""
    ranks = [f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in range(3)]
    return {
        "mp_rank_00_model_states.pt": files["model.pt"],
        **dict.fromkeys(ranks, files["optimizer.pt"]),
    }


LAYOUTS: dict[Layout, str] = {
    guide: "checkpoint-{}",
    hugging_face: "checkpoint-{}",
    accelerate: "checkpoint-{}",
    sharded: "checkpoint-{}",
    deepspeed: "global_step{}",
}
# The file that a killed save lacks, for a checkpoint with no sibling to compare with.
LAST_WRITTEN = {
    hugging_face: "trainer_state.json",
    accelerate: "random_states_0.pkl",
    sharded: "optimizer_0/.metadata",
    deepspeed: "bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt",
}
by_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)


def look(directory: Path) -> SurveyRequest:
    """A request of a user who set `existing: use`."""
    return SurveyRequest(directory, existing="use", quiet=True)


@by_layout
def test_whole_ones_are_valid(tmp_path: Path, torch_files: Files, layout: Layout) -> None:
    """Two whole checkpoints of each layout are valid, and the newest is chosen."""
    for step in (500, 1000):
        write_files(tmp_path / LAYOUTS[layout].format(step), layout(torch_files, step))
    found = survey(look(tmp_path))
    assert [entry.step for entry in found.entries] == [1000, 500]
    assert [entry.reason for entry in found.entries] == [None, None]
    assert found.newest_valid == found.entries[0]
    assert not found.entries[0].ours


@by_layout
@pytest.mark.parametrize("harm", ["delete", "empty"])
def test_each_file_of_state_is_needed(
    tmp_path: Path, torch_files: Files, layout: Layout, harm: str
) -> None:
    """Beside a whole older sibling, a checkpoint without one of its state files is passed over."""
    write_files(tmp_path / LAYOUTS[layout].format(500), layout(torch_files, 500))
    newest = tmp_path / LAYOUTS[layout].format(1000)
    for name in layout(torch_files, 1000):
        files = layout(torch_files, 1000)
        if harm == "delete":
            del files[name]
        else:
            files[name] = b""
        write_files(newest, files)
        found = survey(look(tmp_path))
        assert found.newest_valid is not None
        is_needed = name not in {"config.json", "rng_state_0.pth", "rng_state_1.pth"}
        if is_needed and not (harm == "delete" and name.endswith("0.distcp")):
            assert found.newest_valid.step == 500, name
        shutil.rmtree(newest)


@pytest.mark.parametrize("layout", LAST_WRITTEN, ids=lambda layout: layout.__name__)
def test_a_torn_one_is_seen_without_siblings(
    tmp_path: Path, torch_files: Files, layout: Layout
) -> None:
    """The file that a tool writes last shows whether the save was finished."""
    files = layout(torch_files, 500)
    del files[LAST_WRITTEN[layout]]
    verdict = validate(write_files(tmp_path / LAYOUTS[layout].format(500), files))
    assert verdict.valid is False
    assert "missing" in (verdict.reason or "")


def test_the_mark_of_an_unfinished_save(tmp_path: Path, torch_files: Files) -> None:
    """With checkpoint-is-incomplete.txt a checkpoint is invalid."""
    files = {**hugging_face(torch_files, 500), "checkpoint-is-incomplete.txt": b""}
    assert validate(write_files(tmp_path / "checkpoint-500", files)).valid is False


def test_a_missing_shard_is_seen(tmp_path: Path, torch_files: Files) -> None:
    """A missing shard is seen by the index and by the names; an index must not lead outside."""
    files = sharded(torch_files, 500)
    del files["model-00002-of-00002.safetensors"]
    path = write_files(tmp_path / "checkpoint-500", files)
    assert "00002" in (validate(path).reason or "")
    (path / "model.safetensors.index.json").unlink()
    assert validate(path).valid is False
    index = {"weight_map": {"a": "../../etc/passwd"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "outside" in (validate(path).reason or "")


@pytest.mark.parametrize(
    ("head", "tail", "is_whole"),
    [
        ("model", ".safetensors", False),
        ("pytorch_model", ".bin", False),
        ("adapter_model", ".safetensors", False),
        ("unet/diffusion_pytorch_model", ".safetensors", False),
        ("rank", ".safetensors", True),
        ("model.fp16", ".safetensors", True),
        ("model", ".pt", True),
        ("shard-00001-model", ".safetensors", True),
    ],
)
def test_shards_without_their_index(
    tmp_path: Path, torch_files: Files, head: str, tail: str, is_whole: bool
) -> None:
    """HF's libraries need the index and write it last; other tools' shards count by their names."""
    data = WEIGHTS if tail == ".safetensors" else torch_files["model.pt"]
    shards = {f"{head}-0000{number}-of-00002{tail}": data for number in (1, 2)}
    folder = write_files(tmp_path / "checkpoint-500", shards)
    verdict = validate(folder)
    assert verdict.valid is is_whole, verdict.reason
    name = f"{head}{tail}.index.json"
    assert is_whole or f"{name} is missing" in (verdict.reason or "")
    leaves = {str(n): name.rpartition("/")[2] for n, name in enumerate(shards)}
    write_files(folder, {name: as_json(weight_map=leaves)})
    assert validate(folder).valid


def test_one_shard_needs_no_index(tmp_path: Path) -> None:
    """A checkpoint of one shard is whole without an index."""
    files = {"model-00001-of-00001.safetensors": WEIGHTS}
    assert validate(write_files(tmp_path / "checkpoint-500", files)).valid


@pytest.mark.parametrize(
    ("name", "said", "is_whole"),
    [
        ("checkpoint-100", 80, False),
        ("checkpoint-100", 100, True),
        ("checkpoint-0100", 100, True),
        ("step_100", 80, False),
        ("checkpoint-100", None, True),
        ("checkpoint-100", "80", True),
        ("best", 80, True),
        ("checkpoint-epoch-3", 80, True),
    ],
)
def test_a_state_of_another_step_than_the_name(
    tmp_path: Path, torch_files: Files, name: str, said: object, is_whole: bool
) -> None:
    """If HF's name and state differ in step, two saves share the directory: it is invalid."""
    files = {**hugging_face(torch_files, 100), "trainer_state.json": as_json(global_step=said)}
    verdict = validate(write_files(tmp_path / name, files))
    assert verdict.valid is is_whole
    assert is_whole or "step 80, but the checkpoint's name says step 100" in (verdict.reason or "")


def test_a_step_of_another_name_by_pattern_is_no_damage(tmp_path: Path, torch_files: Files) -> None:
    """The number that a user's pattern takes from a name may count something else than steps."""
    write_files(tmp_path / "run-7", hugging_face(torch_files, 100))
    request = SurveyRequest(tmp_path, existing="use", quiet=True, pattern=r"run-(?P<step>\d+)")
    assert survey(request).entries[0].valid


def test_weights_alone_cannot_be_resumed_from(tmp_path: Path, torch_files: Files) -> None:
    """A newer checkpoint without optimizer state is invalid beside siblings that have it.

    HF writes such checkpoints with `save_only_model`.
    """
    write_files(tmp_path / "checkpoint-500", hugging_face(torch_files, 500))
    write_files(
        tmp_path / "checkpoint-1000",
        {"model.safetensors": WEIGHTS, "trainer_state.json": as_json(global_step=1000)},
    )
    found = survey(look(tmp_path))
    assert found.newest_valid is not None
    assert found.newest_valid.step == 500
    assert "optimizer" in (found.entries[0].reason or "")


def test_fewer_ranks_are_no_damage(tmp_path: Path, torch_files: Files) -> None:
    """A run that goes on with fewer ranks writes fewer random states."""
    write_files(tmp_path / "checkpoint-500", hugging_face(torch_files, 500))
    files = hugging_face(torch_files, 1000)
    del files["rng_state_1.pth"]
    write_files(tmp_path / "checkpoint-1000", files)
    newest = survey(look(tmp_path)).newest_valid
    assert newest is not None
    assert newest.step == 1000


def test_somebody_elses_five_files_beside_ours(
    tmp_path: Path, torch_files: Files, make_ours: Callable[..., Path]
) -> None:
    """The guide's five files are valid beside our checkpoints, which hold more files."""
    make_ours(tmp_path, 400)
    write_files(tmp_path / "checkpoint-500", guide(torch_files, 500))
    newest = survey(look(tmp_path)).newest_valid
    assert newest is not None
    assert (newest.step, newest.ours, newest.proof) == (500, False, "structure")


def test_a_missing_training_state_leaves_the_name(tmp_path: Path, torch_files: Files) -> None:
    """Without a training state the epoch comes from the name, as the guide promises."""
    files = guide(torch_files, 500)
    del files["training_state.json"]
    verdict = validate(write_files(tmp_path / "checkpoint-epoch-118", files))
    assert (verdict.valid, verdict.step, verdict.epoch) == (True, None, 117)


def test_a_link_out_of_a_foreign_checkpoint_is_refused(tmp_path: Path, torch_files: Files) -> None:
    """A link to weights outside the checkpoint makes it invalid: they cannot be proven."""
    path = write_files(tmp_path / "checkpoint-500", guide(torch_files, 500))
    (path / "model.pt").rename(tmp_path / "model.pt")
    (path / "model.pt").symlink_to(tmp_path / "model.pt")
    assert validate(path).valid is False


def test_a_layout_of_ones_own_is_not_accelerates(tmp_path: Path) -> None:
    """`model.bin` and `optimizer.bin` alone do not promise accelerate's random states."""
    files = {"model.bin": b"weights", "optimizer.bin": b"moments", "step.txt": b"10"}
    write_files(tmp_path / "checkpoint-10", files)
    assert validate(tmp_path / "checkpoint-10").valid
    for name in ("model.safetensors", "pytorch_model.bin", "unet/model.safetensors"):
        folder = tmp_path / name.replace("/", "-") / "checkpoint-10"
        content = (2).to_bytes(8, "little") + b"{}" if name.endswith("safetensors") else b"w"
        write_files(folder, {name: content, "optimizer.bin": b"moments"})
        reason = validate(folder).reason
        assert reason == "random_states_0.pkl is missing, which accelerate writes last"

"""Names of checkpoints, as the tools listed in `docs/checkpoints.md` write them."""

import time

import pytest

from supervisor.checkpoint.name_pattern import slow_name
from supervisor.checkpoint.names import (
    is_best_name,
    may_be_checkpoint,
    parse_marked,
    parse_name,
    parse_step,
)


@pytest.mark.parametrize(
    ("name", "step", "epoch"),
    [
        ("checkpoint-5000", 5000, None),
        ("checkpoint-epoch-118", None, 117),
        ("epoch=3-step=1200.ckpt", 1200, 3),
        ("best-epoch=3-step=1200-v1.ckpt", 1200, 3),
        ("last.ckpt", None, None),
        ("hpc_ckpt_2.ckpt", None, None),
        ("ckpt.pt", None, None),
        ("global_step700", 700, None),
        ("iter_0000500", 500, None),
        ("anime-step00001500-state", 1500, None),
        ("anime-000004-state", None, 3),
        ("anime-state", None, None),
        ("model_step_900.pt", 900, None),
        ("model_epoch_7.pth", None, 7),
        ("checkpoint_last.pt", None, None),
        ("checkpoint_3_5000.pt", 5000, 3),
        ("model_0004999.pth", 4999, None),
        ("model_final.pth", None, None),
        ("gpt--val_loss=2.34-step=1000-consumed_samples=8000.0.ckpt", 1000, None),
        ("gpt--val_loss=2.34-step=1000-consumed_samples=8000.0-last.ckpt", 1000, None),
        ("gpt--val_loss=2.34-epoch=1-step=1000-consumed_samples=8000.0-last", 1000, None),
        ("ep0-ba1000-rank0.pt", 1000, 0),
        ("epoch=3-val_loss=0.12.ckpt", None, 3),
        ("epoch=3-step=100-val_loss=-0.12.ckpt", 100, 3),
        ("epoch=3_val_loss=0.12-v2.ckpt", None, 3),
        ("best-epoch=3-val_loss=0.12.ckpt", None, 3),
        ("checkpoint_latest.pth", None, None),
        ("checkpoint_000010", 10, None),
        ("rl_model_1000_steps.zip", 1000, None),
        ("last.pth.tar", None, None),
        ("checkpoint-12.pth.tar", None, 12),
        ("epoch12.pt", None, 12),
        ("step-1000", 1000, None),
        ("iter_5000.pth", 5000, None),
        ("epoch_3.pth", None, 3),
        ("my-best-lora-step00001500-state", 1500, None),
        ("recovery-3-100.pth.tar", None, 3),
        ("epoch5.pt", None, 5),
        ("checkpoint_0", 0, None),
        ("flax_model_100.msgpack", 100, None),
        ("100.msgpack", 100, None),
        ("model_100.ubj", 100, None),
        ("model_100.deprecated", 100, None),
        ("ckpt-05-0.12.keras", None, 4),
        ("ckpt.05-val_loss-0.12.keras", None, 4),
        ("model_05.keras", None, 4),
        ("checkpoint.keras", None, None),
        ("ckpt-05.weights.h5", None, 4),
        ("default--reduced_train_loss=0.12-epoch=2-last", None, 2),
        ("default--loss=0.12-epoch=2-consumed_samples=64.0", None, 2),
    ],
)
def test_a_trainers_name_gives_its_place(name: str, step: int | None, epoch: int | None) -> None:
    """Step and epoch index are read from every tool's form."""
    parsed = parse_name(name)
    assert parsed is not None
    assert (parsed.step, parsed.epoch) == (step, epoch)


@pytest.mark.parametrize(
    "name",
    ["train.log", "wandb", "lightning_logs", "model.pt", "best.pt", "checkpoint-",
     "checkpoint-1000.corrupt", "checkpoint-1x", "checkpoint-" + "9" * 30, "checkpoint-٣", "",
     "events.out.tfevents.1", "checkpoint_best.pt", "model_best.pth.tar", "checkpoint_best.pth",
     "best_coco_bbox_mAP_epoch_12.pth", "best_step_100.pt", "best-checkpoint.pt", "model_12.pth",
     "ep0-ba1000-rank1.pt", "data.zip", "1000_steps.zip", "images.tar", "1000", "model-12.h5",
     "best_05.keras", "model.keras", "best_model.zip", "weights.h5", "1.orbax-checkpoint-tmp",
     "checkpoint_1.orbax-checkpoint-tmp-17", "model_100.json", "3--epoch.ckpt", "best.ubj",
     "epoch=3.txt", "rl_model_replay_buffer_1000_steps.pkl"],
)  # fmt: skip
def test_other_names_are_no_checkpoints(name: str) -> None:
    """A name that only resembles a checkpoint's is no checkpoint."""
    assert parse_name(name) is None


def test_parse_step_says_which_count_a_name_has() -> None:
    """The guide's two forms give a step or an epoch; another name gives neither."""
    assert parse_step("checkpoint-500") == ("step", 500)
    assert parse_step("checkpoint-epoch-118") == ("epoch", 117)
    assert parse_step("ckpt.pt") is None


@pytest.mark.parametrize(
    ("name", "step"), [("weights-10.bin", 10), ("weights-x.bin", None), ("checkpoint-7", 7)]
)
def test_a_pattern_of_the_users_own(name: str, step: int | None) -> None:
    """The user's pattern adds names that nobody knows, and known names go on counting."""
    parsed = parse_name(name, r"weights-(?P<step>\d+)\.bin")
    assert (parsed.step if parsed else None) == step


@pytest.mark.parametrize(
    ("name", "step"), [("m-10.h5", 10), ("m.h5", None), ("m-.h5", None), ("m-10", 10)]
)
def test_a_pattern_whose_step_may_be_missing(name: str, step: int | None) -> None:
    """A name that the pattern matches without a step is a checkpoint of unknown step."""
    parsed = parse_name(name, r"m(?:-(?P<step>\d*))?(?:\.h5)?")
    assert parsed is not None
    assert (parsed.step, parsed.epoch) == (step, None)


def test_a_pattern_makes_a_best_one_a_candidate() -> None:
    """The user's pattern overrules the meaning that a name has elsewhere."""
    pattern = r"best_epoch_(?P<step>\d+)\.pth"
    assert parse_name("best_epoch_12.pth") is None
    assert parse_name("best_epoch_12.pth", pattern) == (12, None, "periodic")


@pytest.mark.parametrize(
    ("name", "is_best"),
    [
        ("best", True),
        ("best-epoch=3-step=1200.ckpt", True),
        ("model_best.pth.tar", True),
        ("BEST.pt", True),
        ("modelBest.pth", True),
        ("best_coco_bbox_mAP_epoch_12.pth", True),
        ("bestiary-100.pt", False),
        ("alphabest.pt", False),
        ("checkpoint-100", False),
        ("my-best-lora-step00001500-state", False),
    ],
)
def test_best_is_a_word(name: str, is_best: bool) -> None:
    """The word "best" counts in any spelling, but not within a word or a kohya model's name."""
    assert is_best_name(name) is is_best


@pytest.mark.parametrize("mark", ["_CHECKPOINT_METADATA", "commit_success.txt"])
def test_a_bare_number_is_orbaxs_only_with_its_mark(mark: str) -> None:
    """`1000/` may be anything; the files that orbax writes into it decide."""
    assert parse_marked("1000", {mark, "d/0"}) == (1000, None, "periodic")
    assert parse_marked("1000", {"image.png"}) is None
    assert parse_marked("fold", {mark}) is None
    assert may_be_checkpoint("1000")
    assert not may_be_checkpoint("fold")


def test_a_pattern_that_backtracks_finds_its_own_names_in_time() -> None:
    """A slow pattern costs a hundred other names little time, and still finds its own names."""
    pattern = r"(\w+-?)*_(?P<step>\d+)\.bin"
    begun = time.process_time()
    strange = [f"an_image_that_was_sampled_at_step_{n:06}.png" for n in range(100)]
    assert [parse_name(name, pattern) for name in strange] == [None] * 100
    assert parse_name("weights_12.bin", pattern) == (12, None, "periodic")
    assert slow_name(pattern) == strange[0]
    assert time.process_time() - begun < 5.0

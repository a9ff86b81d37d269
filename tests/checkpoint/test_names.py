"""Names of checkpoints, as the tools of `docs/trainers` write them."""

import pytest

from supervisor.checkpoint.format import parse_step
from supervisor.checkpoint.names import parse_name


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
     "events.out.tfevents.1"],
)  # fmt: skip
def test_other_names_are_no_checkpoints(name: str) -> None:
    """What only resembles a checkpoint is left alone."""
    assert parse_name(name) is None


def test_parse_step_says_which_count_a_name_has() -> None:
    """Both forms of the guide, and a name that has neither."""
    assert parse_step("checkpoint-500") == ("step", 500)
    assert parse_step("checkpoint-epoch-118") == ("epoch", 117)
    assert parse_step("ckpt.pt") is None


@pytest.mark.parametrize(
    ("name", "step"), [("weights-10.bin", 10), ("weights-x.bin", None), ("checkpoint-7", 7)]
)
def test_a_pattern_of_the_users_own(name: str, step: int | None) -> None:
    """A name nobody knows counts where the user says how to read it; known ones go on counting."""
    parsed = parse_name(name, r"weights-(?P<step>\d+)\.bin")
    assert (parsed.step if parsed else None) == step

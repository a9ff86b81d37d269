"""DeepSpeed's ranks: the checkpoint itself says how many files there must be."""

import io
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from supervisor.checkpoint.validate import validate
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, write_files


@dataclass(frozen=True)
class Shape:
    """How a checkpoint was saved, and how many of its ranks' files are there."""

    ranks: int
    parts: int = 1
    stage: int = 1
    says: int | None = None
    is_silent: bool = False
    prefix: str = "bf16_"
    folder: str = ""


def saved(content: object) -> bytes:
    """The bytes that torch.save makes of this content."""
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def deepspeed(shape: Shape) -> Files:
    """The files of one tag, in DeepSpeed's names."""
    import torch

    state = {
        "module": {"w": torch.zeros(4)},
        "lr_scheduler": {"last_batch_iteration": 3},
        "mp_world_size": shape.parts,
        "dp_world_size": shape.ranks if shape.says is None else shape.says,
        "ds_config": {"train_batch_size": 8, "dp_world_size": 99},
    }
    if shape.is_silent:
        del state["dp_world_size"]
    files: Files = {}
    for part in range(shape.parts):
        if shape.stage < 3:
            files[f"mp_rank_{part:02d}_model_states.pt"] = saved(state)
        for rank in range(shape.ranks if shape.stage else 0):
            name = f"zero_pp_rank_{rank}_mp_rank_{part:02d}"
            files[f"{shape.prefix}{name}_optim_states.pt"] = saved({"r": torch.zeros(2)})
            if shape.stage == 3:
                files[f"{name}_model_states.pt"] = saved(state)
    return {shape.folder + name: data for name, data in files.items()}


def look(folder: Path) -> Survey:
    """Survey the run's own checkpoints while nothing is being written."""
    return survey(SurveyRequest(folder, "run", quiet=True, first_attempt_wall=0.0))


@pytest.mark.parametrize("folder", ["", "global_step7/"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Shape(4), Shape(2)),
        (Shape(2), Shape(4)),
        (Shape(4, prefix=""), Shape(1, prefix="")),
        (Shape(4, stage=2), Shape(2, stage=2)),
        (Shape(4, stage=3), Shape(2, stage=3)),
        (Shape(2, parts=2), Shape(2, parts=1)),
        (Shape(1, parts=2), Shape(2, parts=2)),
        (Shape(4, parts=4, stage=3), Shape(2, parts=2, stage=3)),
    ],
)
def test_another_number_of_ranks_is_no_damage(
    tmp_path: Path, before: Shape, after: Shape, folder: str
) -> None:
    """A run may go on with fewer or more ranks, in any stage, alone or under HF's Trainer."""
    name = "checkpoint-{}" if folder else "global_step{}"
    for step, shape in ((100, before), (200, after)):
        files = {folder + name: data for name, data in deepspeed(shape).items()}
        write_files(tmp_path / name.format(step), files)
    assert [(e.step, e.reason) for e in look(tmp_path).entries] == [(200, None), (100, None)]


@pytest.mark.parametrize(
    ("shape", "gone"),
    [
        (Shape(2), "bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt"),
        (Shape(4), "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"),
        (Shape(2, prefix=""), "zero_pp_rank_1_mp_rank_00_optim_states.pt"),
        (Shape(2, parts=2), "bf16_zero_pp_rank_1_mp_rank_01_optim_states.pt"),
        (Shape(1, parts=2), "bf16_zero_pp_rank_0_mp_rank_01_optim_states.pt"),
        (Shape(2, folder="global_step9/"),
         "global_step9/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt"),
    ],
)  # fmt: skip
def test_a_rank_that_took_part_is_missed_without_a_sibling(
    tmp_path: Path, shape: Shape, gone: str
) -> None:
    """A missing rank is seen, also the last one, which leaves no gap in the numbers."""
    files = deepspeed(shape)
    folder = write_files(tmp_path / "global_step9", files)
    assert validate(folder).valid
    (folder / gone).unlink()
    reason = validate(folder).reason or ""
    assert reason.startswith(f"{gone} is missing"), reason


@pytest.mark.parametrize(
    ("before", "after", "gone"),
    [
        (Shape(4), Shape(2, is_silent=True), None),
        (Shape(4), Shape(2), "mp_rank_00_model_states.pt"),
        (Shape(4, stage=3), Shape(4, stage=3), "zero_pp_rank_3_mp_rank_00_model_states.pt"),
        (Shape(4, stage=3), Shape(2, stage=3), "zero_pp_rank_1_mp_rank_00_model_states.pt"),
        (Shape(4), Shape(2, stage=0), None),
        (Shape(2, parts=2), Shape(2, parts=2), "mp_rank_01_model_states.pt"),
    ],
)
def test_what_no_number_explains_is_compared(
    tmp_path: Path, before: Shape, after: Shape, gone: str | None
) -> None:
    """Files are compared with the sibling's where the number of ranks explains nothing."""
    write_files(tmp_path / "global_step100", deepspeed(before))
    files = deepspeed(after)
    if gone is not None:
        del files[gone]
    write_files(tmp_path / "global_step200", files)
    newest = look(tmp_path).entries[0]
    assert newest.valid is False
    assert newest.step == 200


def test_without_zero_no_rank_is_asked_for(tmp_path: Path) -> None:
    """Without ZeRO all of the state is in one file."""
    for step in (1, 2):
        write_files(tmp_path / f"global_step{step}", deepspeed(Shape(4, stage=0)))
    assert [entry.valid for entry in look(tmp_path).entries] == [True, True]


def test_a_group_that_saves_for_all_is_whole(tmp_path: Path) -> None:
    """Under MiCS, in stage 3 only, fewer ranks save than take part."""
    for step in (1, 2):
        files = deepspeed(Shape(2, stage=3, says=8))
        write_files(tmp_path / f"global_step{step}", files)
    assert [entry.valid for entry in look(tmp_path).entries] == [True, True]


@pytest.mark.parametrize(
    "root",
    [
        {"dp_world_size": True},
        {"dp_world_size": 0},
        {"dp_world_size": 10**30},
        {"dp_world_size": "2"},
        ["dp_world_size", 2],
        {("dp_world_size",): 2},
        b"\x80\x02 cut",
    ],
)
def test_a_number_that_is_none_is_not_believed(tmp_path: Path, root: object) -> None:
    """A number that is no count is ignored; the pickle is read as values, never run."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        data = root if isinstance(root, bytes) else pickle.dumps(root, 2)
        archive.writestr("archive/data.pkl", data)
    files = {**deepspeed(Shape(2)), "mp_rank_00_model_states.pt": buffer.getvalue()}
    assert validate(write_files(tmp_path / "global_step5", files)).valid


def test_a_number_beyond_all_ranks_costs_nothing(tmp_path: Path) -> None:
    """The reason names the first missing rank, at no cost, however large the number is."""
    folder = write_files(tmp_path / "global_step5", deepspeed(Shape(2, says=1_000_000)))
    assert "zero_pp_rank_2_" in (validate(folder).reason or "")

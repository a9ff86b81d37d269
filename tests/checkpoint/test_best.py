"""A tool's own record names its best checkpoint: found without unpickling, and never pruned."""

import io
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.checkpoint import best, prune
from supervisor.checkpoint.named_listing import list_files
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, MakeOurs, as_json, make_old, write_files
from tests.checkpoint.test_foreign import hugging_face
from tests.checkpoint.test_survey import opened, remember

__all__ = ["opened"]


def look(folder: Path, **changes: object) -> Survey:
    """Survey the run's own checkpoints while nothing is being written."""
    request = SurveyRequest(folder, "run", quiet=True, first_attempt_wall=0.0)
    return survey(replace(request, **changes))  # type: ignore[arg-type]


def doomed(found: Survey, keep: int) -> list[str]:
    """The names that pruning would remove, oldest first."""
    return [entry.name for entry in prune.plan(found.entries, keep, (), include_foreign=True)]


def the_best(found: Survey) -> list[str]:
    """The names of the best checkpoints."""
    return [entry.name for entry in found.entries if entry.best]


def save_hf(folder: Path, files: Files, step: int, named: object) -> Path:
    """Save HF's checkpoint whose record names `named` as the best."""
    state = as_json(global_step=step, best_model_checkpoint=named)
    return write_files(
        folder / f"checkpoint-{step}", {**hugging_face(files, step), "trainer_state.json": state}
    )


def save_lightning(path: Path, *named: str, protocol: int = 2, last: str = "") -> Path:
    """Save Lightning's checkpoint with one callback for each path that it names as the best."""
    import torch

    callbacks = {
        f"ModelCheckpoint{{'n': {number}}}": {
            "monitor": "val_loss",
            "best_model_score": torch.tensor(0.5),
            "best_model_path": one,
            "best_k_models": {one: torch.tensor(0.5)},
            "kth_best_model_path": one,
            "last_model_path": last,
        }
        for number, one in enumerate(named)
    }
    content = {"epoch": 3, "state_dict": {"w": torch.zeros(4)}, "callbacks": callbacks}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path, pickle_protocol=protocol)
    make_old(path)
    return path


@pytest.mark.parametrize("form", ["out/{}", "/scratch/me/out/{}", "{}", "./out/{}/"])
def test_hf_best_is_never_pruned(tmp_path: Path, torch_files: Files, form: str) -> None:
    """HF's best is kept wherever the record says it lies: its name counts, in this directory."""
    for step in (10, 20, 30, 40, 50):
        save_hf(tmp_path, torch_files, step, form.format("checkpoint-20"))
    found = look(tmp_path)
    assert the_best(found) == ["checkpoint-20"]
    assert doomed(found, 2) == ["checkpoint-10", "checkpoint-30"]
    assert doomed(found, 4) == ["checkpoint-10"]


@pytest.mark.parametrize("named", [None, "out/checkpoint-30"])
@pytest.mark.parametrize("form", ["checkpoint-{}", "run2-step-{}.pt"])
def test_hf_best_step_is_never_pruned(
    tmp_path: Path, torch_files: Files, named: str | None, form: str
) -> None:
    """HF's record may give the best step alone or beside a name: the series decides whose it is."""
    pattern = form.format(r"(?P<step>\d+)")
    for step in (10, 20, 30, 40, 50):
        state = as_json(global_step=step, best_model_checkpoint=named, best_global_step=20)
        files = {**hugging_face(torch_files, step), "trainer_state.json": state}
        write_files(tmp_path / form.format(step), files)
    (tmp_path / "checkpoint-20x").mkdir()
    best = set(the_best(look(tmp_path, pattern=pattern)))
    assert form.format(20) in best
    assert best <= {form.format(20), "checkpoint-30"}


@pytest.mark.parametrize("step", [True, -1, "20", 20.5, 10**30, [20]])
def test_a_best_step_that_is_none(tmp_path: Path, torch_files: Files, step: object) -> None:
    """A best step that is no count raises nothing and names nothing."""
    state = as_json(global_step=20, best_global_step=step)
    files = {**hugging_face(torch_files, 20), "trainer_state.json": state}
    assert best.read_best(list_files(write_files(tmp_path / "checkpoint-20", files))) == ""


def test_what_cannot_be_a_files_name_is_not_kept(tmp_path: Path, torch_files: Files) -> None:
    """A name longer than a file name is dropped: the ledger would carry it with every survey."""
    for step, named in ((10, "x" * 1_000_000), (20, "ü" * 128), (30, "a\0b"), (40, "y" * 255)):
        stock = list_files(save_hf(tmp_path, torch_files, step, f"out/{named}"))
        assert best.read_best(stock) == (named if step == 40 else "")
    save_lightning(tmp_path / "last.ckpt", "/x/" + "z" * 300, "/x/epoch=1-step=1.ckpt")
    assert best.read_best(list_files(tmp_path / "last.ckpt")) == "epoch=1-step=1.ckpt"


def test_the_newest_record_counts(tmp_path: Path, torch_files: Files) -> None:
    """Only the newest record's best is kept: earlier bests do not pile up."""
    for step in (10, 20, 30, 40):
        save_hf(tmp_path, torch_files, step, f"out/checkpoint-{step}")
    found = look(tmp_path)
    assert the_best(found) == ["checkpoint-40"]
    assert doomed(found, 1) == ["checkpoint-10", "checkpoint-20", "checkpoint-30"]


def test_a_torn_newest_one_costs_no_best(tmp_path: Path, torch_files: Files) -> None:
    """When the newest checkpoint is torn, its record counts and so does the newest proven one."""
    for step in (10, 20, 30):
        save_hf(tmp_path, torch_files, step, "out/checkpoint-10")
    torn = save_hf(tmp_path, torch_files, 40, "out/checkpoint-20")
    (torn / "model.safetensors").write_bytes(b"torn")
    make_old(torn)
    assert the_best(look(tmp_path)) == ["checkpoint-20", "checkpoint-10"]
    (torn / "trainer_state.json").write_bytes(b'{"global')
    assert the_best(look(tmp_path)) == ["checkpoint-10"]


def test_an_older_record_counts_where_newer_ones_are_silent(
    tmp_path: Path, torch_files: Files
) -> None:
    """Newer records count for nothing when they name no best, or a best that is gone."""
    save_hf(tmp_path, torch_files, 10, None)
    save_hf(tmp_path, torch_files, 20, "out/checkpoint-10")
    for step, named in ((30, None), (40, "out/checkpoint-35"), (50, ["checkpoint-30"])):
        save_hf(tmp_path, torch_files, step, named)
    assert the_best(look(tmp_path)) == ["checkpoint-10"]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_lightnings_best_is_never_pruned(tmp_path: Path, protocol: int) -> None:
    """Lightning's best is read from its newest checkpoint's pickle, with or without the memo."""
    for step in (100, 200, 300, 400):
        named = "/x/ckpt/epoch=0-step=100.ckpt"
        path = tmp_path / f"epoch={step // 100 - 1}-step={step}.ckpt"
        save_lightning(path, named, protocol=protocol, last="/x/ckpt/epoch=1-step=200.ckpt")
    found = look(tmp_path)
    assert [entry.valid for entry in found.entries] == [True] * 4
    assert the_best(found) == ["epoch=0-step=100.ckpt"]
    assert doomed(found, 1) == ["epoch=1-step=200.ckpt", "epoch=2-step=300.ckpt"]


def test_the_best_of_several_callbacks(tmp_path: Path) -> None:
    """Each callback's best counts; the second callback's key comes from the pickle's memo."""
    for epoch in range(4):
        paths = ("/x/epoch=0-step=0.ckpt", "", "/x/epoch=1-step=1.ckpt")
        save_lightning(tmp_path / f"epoch={epoch}-step={epoch}.ckpt", *paths)
    assert the_best(look(tmp_path)) == ["epoch=1-step=1.ckpt", "epoch=0-step=0.ckpt"]


def test_last_ckpt_tells_the_best(tmp_path: Path) -> None:
    """`last.ckpt`, a file of another series, has the newest record."""
    for epoch in range(3):
        save_lightning(tmp_path / f"epoch={epoch}-step={epoch}.ckpt")
    save_lightning(tmp_path / "last.ckpt", "/x/epoch=0-step=0.ckpt")
    assert the_best(look(tmp_path)) == ["epoch=0-step=0.ckpt"]


def test_lightnings_directory_tells_the_best(tmp_path: Path) -> None:
    """Under FSDP the record is in a file of its own, `meta.pt`."""
    for epoch in range(3):
        folder = tmp_path / f"epoch={epoch}-step={epoch}.ckpt"
        save_lightning(folder / "meta.pt", "/x/epoch=0-step=0.ckpt")
        make_old(folder)
    assert the_best(look(tmp_path)) == ["epoch=0-step=0.ckpt"]


def test_what_is_called_best_by_name(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A name with "best" counts: ours, Lightning's, and a name that the user's pattern matches."""
    make_ours(tmp_path, 1, name="best")
    save_lightning(tmp_path / "best-epoch=0-step=2.ckpt")
    save_lightning(tmp_path / "model_best_3.pt")
    for step in (10, 20, 30):
        make_ours(tmp_path, step)
    found = look(tmp_path, pattern=r"model_best_(?P<step>\d+)\.pt")
    assert the_best(found) == ["model_best_3.pt", "best-epoch=0-step=2.ckpt", "best"]
    assert doomed(found, 1) == ["checkpoint-10", "checkpoint-20"]
    best_of_json = [entry.as_json()["best"] for entry in found.entries]
    assert best_of_json == [False, False, False, True, True, True]


def test_the_best_is_counted_among_the_newest(tmp_path: Path, make_ours: MakeOurs) -> None:
    """With `keep: 2`, a newest checkpoint that is the best counts as one of the two."""
    make_ours(tmp_path, 1)
    make_ours(tmp_path, 2)
    make_ours(tmp_path, 3, name="best")
    assert doomed(look(tmp_path), 2) == ["checkpoint-1"]


def test_an_unchanged_record_is_not_read_again(
    tmp_path: Path, torch_files: Files, opened: list[str]
) -> None:
    """The record is remembered with the verdict; an older ledger lacks it, so it is read once."""
    for step in (10, 20):
        save_hf(tmp_path, torch_files, step, "out/checkpoint-10")
    save_lightning(tmp_path / "epoch=0-step=1.ckpt", "/x/epoch=0-step=1.ckpt")
    memory = remember(look(tmp_path))
    opened.clear()
    again = look(tmp_path, memory=memory)
    assert the_best(again) == ["checkpoint-10", "epoch=0-step=1.ckpt"]
    outside = "/proc/self/mountinfo"
    assert [name for name in opened if not Path(name).is_dir() and name != outside] == []
    old = {path: replace(known, names_best=None) for path, known in memory.items()}
    first = look(tmp_path, memory=old)
    assert the_best(first) == the_best(again)
    assert remember(first) == memory


class Trap:
    """An object whose unpickling ends the process."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        """Return the call that unpickling would make."""
        import os

        return os._exit, (13,)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\3\4 no archive",
        b"\x80\x02X\x0f\0\0\0best_model_path",
        pickle.dumps({"best_model_path": "x"}),
    ],
)
def test_what_is_no_archive_names_none(tmp_path: Path, data: bytes) -> None:
    """A torn or empty file, or another format, raises nothing and names no best."""
    path = tmp_path / "last.ckpt"
    path.write_bytes(data)
    assert best.read_best(list_files(path)) == ""


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """The record is read from an archive that would run code, and the code does not run."""
    import zipfile

    content = io.BytesIO()
    pickle.Pickler(content, 2).dump([Trap(), {"best_model_path": "/x/last.ckpt"}])
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "last.ckpt", "w", kind) as archive:
            archive.writestr("archive/data.pkl", content.getvalue())
        assert best.read_best(list_files(tmp_path / "last.ckpt")) == "last.ckpt"


def test_a_huge_pickle_is_not_read(tmp_path: Path) -> None:
    """A pickle larger than any trainer writes names no best."""
    import zipfile

    huge = b"best_model_path" * (2 << 20)
    with zipfile.ZipFile(tmp_path / "last.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", huge)
    assert best.read_best(list_files(tmp_path / "last.ckpt")) == ""

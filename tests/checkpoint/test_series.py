"""Foreign checkpoints beside one another: each is compared once, within its own series."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

from supervisor.checkpoint.records import NO_OPTIMIZER
from supervisor.checkpoint.validate import validate
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, as_json, make_old, write_files
from tests.checkpoint.test_foreign import WEIGHTS, accelerate, hugging_face
from tests.checkpoint.test_survey import remember

RAW = bytes(range(1, 251)) * 40


def look(folder: Path, **changes: object) -> Survey:
    """Survey the run's own checkpoints while nothing is being written."""
    request = SurveyRequest(folder, "run", quiet=True, first_attempt_wall=0.0)
    return survey(replace(request, **changes))  # type: ignore[arg-type]


def reasons(found: Survey) -> dict[str, str | None]:
    """The reason of each checkpoint, by name."""
    return {entry.name: entry.reason for entry in found.entries}


def test_another_series_lacks_nothing(tmp_path: Path, torch_files: Files) -> None:
    """A checkpoint lacks no file that only another tool's checkpoints have."""
    for step in (10, 20):
        write_files(tmp_path / f"checkpoint-{step}", hugging_face(torch_files, step))
        write_files(tmp_path / f"step-{step}", {"model.safetensors": WEIGHTS})
        write_files(tmp_path / f"checkpoint_{step:06d}", {"state.pt": torch_files["model.pt"]})
    found = look(tmp_path)
    assert [entry.valid for entry in found.entries] == [True] * 6
    (tmp_path / "step-20" / "model.safetensors").rename(tmp_path / "step-20" / "other.safetensors")
    missing = reasons(look(tmp_path))["step-20"]
    assert missing == "model.safetensors is missing, which step-10 has"


def test_another_runs_are_no_measure(tmp_path: Path, torch_files: Files) -> None:
    """Checkpoints from before the run's first start may have other settings: not compared."""
    write_files(tmp_path / "checkpoint-10", hugging_face(torch_files, 10), age_s=1000)
    files = hugging_face(torch_files, 20)
    del files["optimizer.pt"], files["scheduler.pt"]
    write_files(tmp_path / "checkpoint-20", files, age_s=60)
    since = os.stat(tmp_path / "checkpoint-20" / "config.json").st_mtime - 100
    request = SurveyRequest(tmp_path, "run", existing="use", quiet=True)
    alone = survey(replace(request, first_attempt_wall=since))
    assert reasons(alone)["checkpoint-20"] == NO_OPTIMIZER
    together = survey(replace(request, first_attempt_wall=0.0))
    assert "the other checkpoints have" in (reasons(together)["checkpoint-20"] or "")


def weights_only(files: Files, step: int) -> Files:
    """HF's files with `save_only_model`."""
    state = hugging_face(files, step)
    return {name: state[name] for name in ("model.safetensors", "trainer_state.json")}


def test_no_optimizer_in_any_is_used_and_told(tmp_path: Path, torch_files: Files) -> None:
    """Weights alone are valid, and the reason, which is remembered, says what resuming loses."""
    for step in (10, 20):
        write_files(tmp_path / f"checkpoint-{step}", weights_only(torch_files, step))
    first = look(tmp_path)
    again = look(tmp_path, memory=remember(first))
    for found in (first, again):
        assert reasons(found) == {"checkpoint-10": NO_OPTIMIZER, "checkpoint-20": NO_OPTIMIZER}
        assert found.newest_valid is not None
        assert found.newest_valid.step == 20
        assert found.newest_valid.finite is not False


def test_no_optimizer_beside_one_that_has_it(tmp_path: Path, torch_files: Files) -> None:
    """Beside a checkpoint with optimizer state, weights alone are invalid, older or newer."""
    write_files(tmp_path / "checkpoint-10", weights_only(torch_files, 10))
    write_files(tmp_path / "checkpoint-20", hugging_face(torch_files, 20))
    write_files(tmp_path / "checkpoint-30", weights_only(torch_files, 30))
    valid = {entry.name: entry.valid for entry in look(tmp_path).entries}
    assert valid == {"checkpoint-10": False, "checkpoint-20": True, "checkpoint-30": False}


def test_nothing_is_said_of_other_tools(tmp_path: Path, torch_files: Files) -> None:
    """No word about an optimizer is said of an unknown tool: one file may hold all state."""
    content = {"state.pt": torch_files["model.pt"], "progress.json": b"{}"}
    write_files(tmp_path / "checkpoint-10", content)
    assert reasons(look(tmp_path)) == {"checkpoint-10": None}


def test_without_weights_there_is_nothing_to_resume(tmp_path: Path, torch_files: Files) -> None:
    """HF's record and arguments without weights are invalid, for another reason."""
    state = as_json(global_step=10)
    content = {"trainer_state.json": state, "training_args.bin": torch_files["model.pt"]}
    write_files(tmp_path / "checkpoint-10", content)
    (entry,) = look(tmp_path).entries
    assert entry.valid is False
    assert entry.reason != NO_OPTIMIZER


# A file of a kind that nobody can check, by its name at each step.
@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("checkpoint-{}/weights.bin", None),
        ("checkpoint-{0}/part_{0}.bin", None),
        ("step-{}.bin", None),
        ("step-{}.bin", r"step-(?P<step>\d+)\.bin"),
    ],
)
def test_a_file_cut_off(tmp_path: Path, name: str, pattern: str | None) -> None:
    """A file of less than half the size before it is invalid, and the reason gives both sizes."""
    for step, size in ((10, 10_000), (20, 6_000), (30, 2_999), (40, 3_000)):
        path = tmp_path / name.format(step)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(RAW[:size])
    make_old(tmp_path)
    found = look(tmp_path, pattern=pattern)
    assert [(entry.step, entry.valid) for entry in found.entries] == [
        (40, True),
        (30, False),
        (20, True),
        (10, True),
    ]
    reason = found.entries[1].reason or ""
    assert "2999 bytes, less than half of the 6000" in reason


def test_a_single_file_rewritten_and_cut_off(tmp_path: Path) -> None:
    """A file that is rewritten under one name is compared with its own earlier size."""
    path = tmp_path / "step-1.bin"
    path.write_bytes(RAW)
    make_old(path)
    memory = remember(look(tmp_path))
    for size, valid in ((6000, True), (4000, False)):
        path.write_bytes(RAW[:size])
        make_old(path, 30)
        entry = look(tmp_path, memory=memory).entries[0]
        assert entry.valid is valid
    assert "4000 bytes, less than half of the 10000 that it had" in (entry.reason or "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"w.bin": RAW, "n.txt": RAW}, {"w.bin": RAW, "n.txt": b"1"}),
        ({"w.bin": RAW, "a.log": RAW}, {"w.bin": RAW, "a.log": b"begun"}),
        ({"w.bin": RAW, "state.bin": b"999999"}, {"w.bin": RAW, "state.bin": b"1"}),
        ({"w.bin": RAW, "s.json": b'["' + b"a" * 999 + b'"]'}, {"w.bin": RAW, "s.json": b"[]"}),
        ({"w.bin": RAW, "r.pkl": True}, {"w.bin": RAW, "r.pkl": b"\x80\x04N."}),
        (
            {f"rank_{rank}.bin": RAW for rank in range(4)},
            {"rank_0.bin": RAW[:2000]} | {f"rank_{rank}.bin": RAW[:1] for rank in range(1, 5)},
        ),
    ],
    ids=["notes", "log", "counter", "json", "pickle", "ranks"],
)
def test_what_may_well_be_smaller(
    tmp_path: Path,
    torch_files: Files,
    before: dict[str, bytes | bool],
    after: dict[str, bytes | bool],
) -> None:
    """Notes, counters, files with a proof of their own, and shards of other ranks may shrink."""
    for step, files in ((10, before), (20, after)):
        content = {n: torch_files["model.pt"] if d is True else bytes(d) for n, d in files.items()}
        write_files(tmp_path / f"checkpoint-{step}", content)
    found = look(tmp_path)
    assert [(entry.valid, entry.reason) for entry in found.entries] == [(True, None)] * 2


def calls(work: Callable[[], object]) -> int:
    """How many Python and C functions a piece of work calls."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("kind", ["directories", "files", "weights only"])
def test_a_survey_is_linear(tmp_path: Path, kind: str) -> None:
    """Four times as many checkpoints take four times the work, read or remembered."""
    work: dict[str, list[int]] = {"read": [], "remembered": []}
    for count in (50, 200):
        folder = tmp_path / str(count)
        folder.mkdir()
        for step in range(count):
            if kind == "files":
                (folder / f"step-{step}.bin").write_bytes(b"weights")
                continue
            files = {
                "weights.bin": b"weights",
                "optimizer.bin": b"m",
                "random_states_0.pkl": b"\x80\x04N.",
            }
            if kind == "weights only":
                files = {"weights.bin": b"weights", "trainer_state.json": as_json(global_step=step)}
            write_files(folder / f"checkpoint-{step}", files)
        make_old(folder)
        found = look(folder)
        assert {entry.valid for entry in found.entries} == {True}
        memory = remember(found)
        work["read"].append(calls(lambda: look(folder)))  # noqa: B023
        work["remembered"].append(calls(lambda: look(folder, memory=memory)))  # noqa: B023
    for few, many in work.values():
        assert many < 4.4 * few


def test_each_is_told_of_while_it_is_looked_at(tmp_path: Path) -> None:
    """A survey reports how many checkpoints it has looked at, and of how many."""
    for step in range(3):
        write_files(tmp_path / f"checkpoint-{step}", {"weights.bin": b"weights"})
    told: list[tuple[int, int]] = []
    survey(SurveyRequest(tmp_path), lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize(
    "name",
    ["validation.png", "samples.npy", "preds.parquet", "tokenizer.model", "vocab.bin", "eval/a.db",
     "predictions.bin", "replay.arrow"],
)  # fmt: skip
def test_a_by_product_may_be_smaller(tmp_path: Path, torch_files: Files, name: str) -> None:
    """Beside a tool's own files a by-product may shrink; the tool's files are still compared."""
    for step, size in ((10, 30_000), (20, 900)):
        content = b"\x89PNG" + (RAW * 4)[:size]
        write_files(
            tmp_path / f"checkpoint-{step}", {**accelerate(torch_files, step), name: content}
        )
        weights = {"pytorch_model.bin": RAW[: 10_000 - 400 * step // 10]}
        write_files(tmp_path / f"checkpoint-{step}", weights)
    assert [(entry.valid, entry.reason) for entry in look(tmp_path).entries] == [(True, None)] * 2
    write_files(tmp_path / "checkpoint-20", {"pytorch_model.bin": RAW[:4000]})
    assert "pytorch_model.bin has 4000" in (reasons(look(tmp_path))["checkpoint-20"] or "")


@pytest.mark.parametrize(
    "magic",
    [b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"BZh9", b"\xfd7zXZ\0", b"\x78\x9c", b"\x78\x01"],
    ids=["zstd", "lz4", "bzip2", "xz", "zlib", "zlib1"],
)
@pytest.mark.parametrize("form", ["m-{}.joblib", "checkpoint-{}/weights.bin"])
def test_what_is_compressed_may_be_smaller(tmp_path: Path, magic: bytes, form: str) -> None:
    """The size of compressed data depends on the content, so it is not compared."""
    for step, size in ((10, 9000), (20, 3000)):
        write_files(tmp_path, {form.format(step): magic + RAW[:size]})
    found = look(tmp_path, pattern=r"m-(?P<step>\d+)\.joblib")
    assert [entry.valid for entry in found.entries] == [True, True]


@pytest.mark.parametrize(
    ("mark", "chunk"),
    [
        ("default/manifest.ocdbt", "default/d/{:08x}"),
        ("params/w/.zarray", "params/w/{}.0"),
        ("zarr.json", "w/c/0/{}"),
    ],
)
def test_arrays_in_chunks_are_compared_as_a_whole(tmp_path: Path, mark: str, chunk: str) -> None:
    """One chunk of an array may shrink or be replaced: the chunks are compared in sum."""
    sizes = {10: [9000] * 8, 20: [9000] * 6 + [10] * 2, 30: [9000] * 2, 40: [9000] * 4}
    for step, chunks in sizes.items():
        files = {chunk.format(number): RAW[:size] for number, size in enumerate(chunks)}
        files |= {mark: b"{}", "_CHECKPOINT_METADATA": b"{}"}
        write_files(tmp_path / str(step), files)
    found = look(tmp_path)
    assert [(e.step, e.valid) for e in found.entries] == [
        (40, True),
        (30, False),
        (20, True),
        (10, True),
    ]
    assert "less than half" in (reasons(found)["30"] or "")


OTHER = b"\x0a\x2c\x0a\x06conv.w" + RAW


@pytest.mark.parametrize("form", ["step_{}.ckpt", "checkpoint-{}/model.ckpt", "m-{}.pkl"])
def test_another_programs_form_under_a_shared_ending(
    tmp_path: Path, torch_files: Files, form: str
) -> None:
    """MindSpore's `.ckpt` is valid, but is damage if earlier ones were torch's."""
    pattern = r"m-(?P<step>\d+)\.pkl"
    for step in (10, 20):
        write_files(tmp_path, {form.format(step): OTHER})
    found = look(tmp_path, pattern=pattern)
    assert [(entry.valid, entry.proof) for entry in found.entries] == [(True, "files")] * 2
    write_files(tmp_path, {form.format(5): torch_files["model.pt"]})
    found = look(tmp_path, pattern=pattern)
    assert [(entry.step, entry.valid) for entry in found.entries] == [
        (20, False),
        (10, False),
        (5, True),
    ]
    assert "neither a zip archive nor a pickle, although it is one in" in (
        found.entries[0].reason or ""
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [("step_10.pt", OTHER), ("step_10.pth", b'{"__m' + RAW), ("step_10.ckpt", bytes(5000)),
     ("step_10.ckpt", bytes(100)), ("m-10.pkl", bytes(5000)), ("m-10.bin", bytes(9000)),
     ("m-10.pkl", b"(dp0\nVstep\n"), ("step_10.bin", bytes(4096) + RAW)],
)  # fmt: skip
def test_what_no_program_writes_is_damage(tmp_path: Path, name: str, data: bytes) -> None:
    """Zeros, and bytes that torch never writes under torch's own endings, are damage."""
    write_files(tmp_path, {name: data})
    (entry,) = look(tmp_path, pattern=r"m-(?P<step>\d+)\..+").entries
    assert entry.valid is False


@pytest.mark.parametrize(
    ("files", "is_whole"),
    [
        ({"counter.bin": bytes(8)}, True),
        ({"counter.bin": bytes(9000)}, True),
        ({"emb.npz": b""}, True),
        ({"gen.pkl": b""}, True),
        ({"predictions.pt": b""}, True),
        ({"optimizer.bin": b""}, False),
        ({"optimizer.bin": bytes(9000)}, False),
        ({"random_states_0.pkl": b""}, False),
        ({"ema_state.npz": b""}, False),
        ({"unet/diffusion_pytorch_model.bin": bytes(9000)}, False),
    ],
)
def test_zeros_and_nothing_are_damage_in_a_tools_own_files(
    tmp_path: Path, torch_files: Files, files: Files, is_whole: bool
) -> None:
    """Other files there may be empty, or begin with the zero row of a padding token."""
    write_files(tmp_path / "checkpoint-10", {**accelerate(torch_files, 10), **files})
    (entry,) = look(tmp_path).entries
    assert entry.valid is is_whole, entry.reason


def test_a_raw_array_alone_may_begin_with_zeros(tmp_path: Path) -> None:
    """An array that the user's pattern names may begin with the zero row of a padding token."""
    write_files(tmp_path, {"weights-10.bin": bytes(8192) + RAW})
    (entry,) = look(tmp_path, pattern=r"weights-(?P<step>\d+)\.bin").entries
    assert (entry.valid, entry.proof) == (True, "files")


def numbered(files: Files, step: int, epoch: float = 0.5) -> Files:
    """HF's checkpoint of a step, under any name."""
    state = as_json(global_step=step, epoch=epoch)
    return {**hugging_face(files, step), "trainer_state.json": state}


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ({"checkpoint-90": 90, "checkpoint-100": 80}, {"checkpoint-100"}),
        ({"checkpoint-100": 80, "checkpoint-110": 110}, {"checkpoint-100"}),
        ({"checkpoint-100": 80}, {"checkpoint-100"}),
        ({"checkpoint-1": 37, "checkpoint-2": 74}, set()),
        ({"checkpoint-1": 37, "checkpoint-2": 74, "checkpoint-3": 111}, set()),
        ({"checkpoint-10": 10, "checkpoint-20": 15, "checkpoint-30": 25},
         {"checkpoint-20", "checkpoint-30"}),
        ({"checkpoint-100": 80, "step_80": 80}, {"checkpoint-100"}),
        ({"checkpoint-1": 37, "checkpoint-2": 74, "checkpoint-3": None}, set()),
    ],
)  # fmt: skip
def test_a_name_that_counts_something_else(
    tmp_path: Path, torch_files: Files, said: dict[str, int | None], refused: set[str]
) -> None:
    """A name of another step than its state's is damage, unless the series counts by epoch."""
    for name, step in said.items():
        files = numbered(torch_files, step or 0)
        if step is None:
            files["trainer_state.json"] = b'{"global'
        write_files(tmp_path / name, files)
    found = reasons(look(tmp_path))
    assert {name for name, why in found.items() if "'s name says" in (why or "")} == refused
    for name, step in said.items():
        assert validate(tmp_path / name).valid is (step is not None and name not in refused)


def test_a_name_that_is_the_epoch(tmp_path: Path, torch_files: Files) -> None:
    """The state's epoch shows that a name counts epochs, even for the first checkpoint."""
    write_files(tmp_path / "checkpoint-1", numbered(torch_files, 37, epoch=1.0))
    assert reasons(look(tmp_path)) == {"checkpoint-1": None}
    write_files(tmp_path / "checkpoint-1", numbered(torch_files, 37, epoch=1.5))
    assert "name says step 1" in (reasons(look(tmp_path))["checkpoint-1"] or "")


def test_the_second_one_clears_the_first(tmp_path: Path, torch_files: Files) -> None:
    """A checkpoint refused alone is valid once a sibling's name differs from its step, too."""
    write_files(tmp_path / "checkpoint-1", numbered(torch_files, 37))
    first = look(tmp_path)
    assert [(entry.valid, entry.rememberable) for entry in first.entries] == [(False, False)]
    write_files(tmp_path / "checkpoint-2", numbered(torch_files, 74))
    assert [entry.valid for entry in look(tmp_path).entries] == [True, True]


def test_a_rank_of_the_steps_number_is_not_missed(tmp_path: Path, torch_files: Files) -> None:
    """For steps as small as ranks, the number in `part_1` of step 1 is the rank."""
    for step in (1, 2, 3):
        files = {f"part_{rank}.pt": torch_files["model.pt"] for rank in range(4)}
        write_files(tmp_path / f"checkpoint-{step}", files)
    assert [entry.valid for entry in look(tmp_path).entries] == [True] * 3
    (tmp_path / "checkpoint-3" / "part_0.pt").unlink()
    assert reasons(look(tmp_path))["checkpoint-3"] == "part_0.pt is missing, which checkpoint-2 has"

"""Damaged checkpoints raise nothing, and none is called valid, whatever the damage."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import torch

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.checkpoint.validate import Validation, validate
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, MakeOurs, as_json, write_files
from tests.checkpoint.damage import damage, picture
from tests.checkpoint.fuzzing import TIME_LIMIT_S, seeds
from tests.checkpoint.test_survey import remember

pytestmark = pytest.mark.timeout(TIME_LIMIT_S)
Case = tuple[int, str, Path, Random]
Cases = Callable[[Path, int], Iterator[Case]]


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    """Yield copies of a good checkpoint, each damaged one to three times."""

    def make(good: Path, count: int) -> Iterator[Case]:
        for seed, random in seeds(count):
            folder = tmp_path / "case"
            shutil.rmtree(folder, ignore_errors=True)
            # The copy keeps its times, as rsync and a rotting disk do.
            shutil.copytree(good, folder / good.name, symlinks=True)
            done = [damage(random, folder / good.name) for _ in range(random.choice([1, 1, 2, 3]))]
            yield seed, ", ".join(done), folder / good.name, random

    return make


def check_survey(
    folder: Path, request: SurveyRequest, verdict: Validation
) -> CheckpointEntry | None:
    """A survey agrees with the verdict, in words that JSON can carry."""
    entries = survey(request).entries
    for entry in entries:
        json.dumps(entry.to_json())
    found = next((entry for entry in entries if entry.path == folder), None)
    if found is not None and verdict.valid is False:
        assert found.valid is not True
    return found


def test_one_of_ours_is_valid_only_bit_for_bit(
    tmp_path: Path, make_ours: MakeOurs, cases: Cases
) -> None:
    """Our checkpoint is valid only if each of its files is bit for bit as committed."""
    good = make_ours(tmp_path / "good", 500)
    whole = picture(good)
    memory = remember(survey(SurveyRequest(good.parent, "run")))
    moved = {str(tmp_path / "case" / Path(path).name): known for path, known in memory.items()}
    outcomes = {True: 0, False: 0}
    for seed, what, folder, _ in cases(good, 500):
        is_whole = {name: picture(folder).get(name) for name in whole} == whole
        # Without manifest and mark, only a caller that remembers it knows the checkpoint is ours.
        verdict = validate(folder, expect_manifest=True)
        assert verdict.valid is is_whole, (seed, what, verdict)
        request = SurveyRequest(folder.parent, "run", memory=moved, quiet=True)
        found = check_survey(folder, request, verdict)
        assert found is None or found.valid is is_whole, (seed, what, found)
        outcomes[is_whole] += 1
    assert outcomes[False] > 10 * outcomes[True] > 0


def test_what_torch_saved_is_structurally_valid_only_if_it_loads_the_same(
    tmp_path: Path, guide_files: Files, cases: Cases
) -> None:
    """Without a manifest the CRCs decide: a valid archive loads, and to the same values."""
    state = {"training_state.json": as_json(global_step=500, current_epoch=0)}
    good = write_files(tmp_path / "good" / "checkpoint-500", {**guide_files, **state})
    want = {name: torch.load(good / name, weights_only=True) for name in guide_files}
    valid = 0
    for seed, what, folder, _ in cases(good, 500):
        verdict = validate(folder)
        check_survey(folder, SurveyRequest(folder.parent, existing="use", quiet=True), verdict)
        if verdict.valid is not True:
            continue
        valid += 1
        for name in sorted(want):
            if not (folder / name).is_file() or verdict.proof != "structure":
                continue
            if (folder / name).read_bytes() != guide_files[name]:
                got = torch.load(folder / name, weights_only=True)
                torch.testing.assert_close(
                    got, _of_its_kind(got, want), rtol=0, atol=0, msg=f"{seed} {what}"
                )
    assert valid


def _of_its_kind(got: object, want: dict[str, object]) -> object:
    """The saved state with the same keys: damage may exchange whole files, which stay valid."""
    return next(state for state in want.values() if state.keys() == got.keys())  # type: ignore[attr-defined]


def test_other_formats_raise_nothing(tmp_path: Path, torch_files: Files, cases: Cases) -> None:
    """Damaged safetensors, indices, pickles, archives without CRCs and DCP files raise nothing."""
    header = as_json(
        a={"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        b={"dtype": "U8", "shape": [], "data_offsets": [24, 25]},
    )
    tensors = len(header).to_bytes(8, "little") + header + bytes(25)
    names = [f"model-{index:05}-of-00002.safetensors" for index in (1, 2)]
    good = write_files(
        tmp_path / "good" / "checkpoint-500",
        {
            names[0]: tensors,
            names[1]: tensors,
            "model.safetensors.index.json": as_json(weight_map=dict(zip("ab", names, strict=True))),
            "legacy.pt": torch_files["legacy.pt"],
            "no_crc.pt": torch_files["no_crc.pt"],
            "rng_state.pth": torch_files["scheduler.pt"],
            "trainer_state.json": as_json(global_step=500, epoch=0.5),
            "dcp/.metadata": b"\x80\4]\x94.",
            "dcp/__0_0.distcp": torch_files["model.pt"],
            "zero_pp_rank_0_mp_rank_00_optim_states.pt": torch_files["optimizer.pt"],
        },
    )
    assert validate(good).valid, validate(good).reason
    answers = set()
    for _, _, folder, random in cases(good, 400):
        verdict = validate(folder)
        answers.add(verdict.valid)
        existing = random.choice(["use", "ignore", None])
        request = SurveyRequest(folder.parent, "run", existing=existing, quiet=True)
        check_survey(folder, request, verdict)
    assert answers == {True, False}


def test_single_files_raise_nothing(tmp_path: Path, torch_files: Files) -> None:
    """One damaged file of each kind, under the names that a survey knows, raises nothing."""
    for seed, random in seeds(400):
        folder = tmp_path / str(seed % 16)
        shutil.rmtree(folder, ignore_errors=True)
        name = random.choice(["ckpt.pt", "step-5.ckpt", "iter_9.pth", "step-3.bin", "last.ckpt"])
        write_files(folder, {name: torch_files[random.choice(sorted(torch_files))]})
        what = damage(random, folder)
        for path in folder.iterdir():
            verdict = validate(path)
            assert verdict.valid in (True, False, None), (seed, what)
        survey(SurveyRequest(folder, existing="use", quiet=True))

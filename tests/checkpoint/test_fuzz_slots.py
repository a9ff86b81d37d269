"""Damaged slots: surveys and persisting stay right, and what is persisted is a valid checkpoint."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from supervisor.checkpoint.validate import validate
from supervisor.memory.persist import persist
from supervisor.memory.slots import read_whole
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, write_snapshot
from tests.checkpoint.damage import damage, picture
from tests.checkpoint.fuzzing import TIME_LIMIT_S, seeds

pytestmark = pytest.mark.timeout(TIME_LIMIT_S)


def test_damaged_slots(tmp_path: Path, torch_files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal, lock, weights.json, verdict.json and snapshot get one to three damages each.

    A snapshot that a survey calls valid has every byte. Persisting raises only OSError and
    ValueError and leaves nothing half. The persisted checkpoint is valid, and loads if its snapshot
    was untouched.
    """
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a thousand checkpoints, and no power cut
    good = {name: torch_files[name] for name in ("model.pt", "optimizer.pt")}
    root, out = tmp_path / "snapshots", tmp_path / "out"
    counts = {"whole": 0, "valid": 0, "persisted": 0}
    for seed, random in seeds(200):
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
        wholes = [
            write_snapshot(root, out, good, step, index=index) for index, step in enumerate((5, 6))
        ]
        for whole in wholes:
            whole.slot.weights.write_text('{"files": {"model.pt": [["float32", 1024, 64]]}}')
            whole.slot.verdict.write_text(
                f'{{"sequence": {whole.sequence}, "finite": true, "reason": null, "problem": null}}'
            )
        before = {whole.snapshot.name: picture(whole.path) for whole in wholes}
        what = [damage(random, root) for _ in range(random.choice([1, 1, 2, 3]))]
        found = survey(SurveyRequest(out, "run", quiet=True, snapshots=root))
        for entry in found.entries:
            if entry.valid:
                counts["valid"] += 1
                found_bytes = sum(map(_plain_bytes, entry.path.iterdir()))
                want = sum(len(data) for data in before[entry.name].values())  # type: ignore[arg-type]
                assert found_bytes == want, (seed, what)
        for whole in read_whole(root):
            counts["whole"] += 1
            is_untouched = picture(whole.path) == before.get(whole.snapshot.name)
            try:
                path = persist(whole).path
            except (OSError, ValueError):
                assert not out.exists() or not list(out.glob(".staging-*")), (seed, what)
                continue
            counts["persisted"] += 1
            verdict = validate(path)
            assert verdict.valid, (seed, what, verdict.reason)
            assert verdict.proof == "hashes"
            if is_untouched:
                for name in good:
                    torch.load(path / name, weights_only=True)
    assert min(counts.values()) > 50, counts


def _plain_bytes(path: Path) -> int:
    """The size of a plain file; damage may have made an added empty file an empty folder."""
    assert path.is_file() or not any(path.iterdir())
    assert not path.is_symlink()
    return path.stat().st_size if path.is_file() else 0

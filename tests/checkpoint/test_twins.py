"""A DCP shard of another save, of one size with its own: bytes and times give it away."""

import os
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from supervisor.checkpoint.records import SurveyRequest
from supervisor.checkpoint.survey import survey


def saved_at(folder: Path, step: int, content: bytes, at: float) -> Path:
    """A DCP checkpoint of one shard, as one save writes it: the shard, then what names it."""
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    with zipfile.ZipFile(path / "__0_0.distcp", "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02N.")
        archive.writestr("w/data/0", content)
    (path / ".metadata").write_bytes(b"\x80\x02N.")
    os.utime(path / "__0_0.distcp", (at - 1, at - 1))
    os.utime(path / ".metadata", (at, at))
    return path


@pytest.mark.parametrize("way", ["copied after", "moved with its time"])
def test_a_shard_with_a_siblings_bytes(tmp_path: Path, way: str) -> None:
    """Of one size and layout: only the sibling's own shard, and its time, give it away."""
    begun = time.time() - 3600
    first = saved_at(tmp_path, 10, b"1" * 1000, begun)
    second = saved_at(tmp_path, 20, b"2" * 1000, begun + 60)
    request = SurveyRequest(tmp_path, "run", quiet=True, first_attempt_wall=0.0)
    assert [entry.valid for entry in survey(request).entries] == [True, True]
    shard = second / "__0_0.distcp"
    shutil.copy2(first / "__0_0.distcp", shard)
    if way == "copied after":
        os.utime(shard, (begun + 61, begun + 61))
    newest, older = survey(request).entries
    assert (newest.valid, older.valid) == (False, True)
    assert newest.reason == "__0_0.distcp is the one of checkpoint-10: it is of another save"


def test_frozen_weights_are_equal_in_every_save(tmp_path: Path) -> None:
    """A shard of nothing but frozen weights has its sibling's bytes, and a time of its own."""
    begun = time.time() - 3600
    for count, step in enumerate((10, 20, 30)):
        saved_at(tmp_path, step, b"frozen", begun + 60 * count)
    request = SurveyRequest(tmp_path, "run", quiet=True, first_attempt_wall=0.0)
    assert [entry.valid for entry in survey(request).entries] == [True] * 3

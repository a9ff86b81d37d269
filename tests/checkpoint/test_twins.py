"""A DCP shard of another save, with the size of the right one: bytes and times reveal it."""

import os
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey


def saved_at(folder: Path, step: int, content: bytes, at: float) -> Path:
    """A DCP checkpoint of one shard, as one save writes it: the shard, then its metadata."""
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
    """A sibling's shard of equal size and layout is seen by the sibling's bytes and time."""
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
    assert (
        newest.reason == "__0_0.distcp is the same as in checkpoint-10: it belongs to another save"
    )


def test_frozen_weights_are_equal_in_every_save(tmp_path: Path) -> None:
    """A shard of frozen weights has its sibling's bytes, and a time of its own: it is valid."""
    begun = time.time() - 3600
    for count, step in enumerate((10, 20, 30)):
        saved_at(tmp_path, step, b"frozen", begun + 60 * count)
    request = SurveyRequest(tmp_path, "run", quiet=True, first_attempt_wall=0.0)
    assert [entry.valid for entry in survey(request).entries] == [True] * 3


def saved_by(folder: Path, step: int, shards: dict[str, bytes], metadata: tuple[str, ...]) -> Path:
    """A DCP checkpoint as it was saved: one shard after the other, then the metadata."""
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    at = time.time() - 7200 + 60 * step
    for count, (name, content) in enumerate(shards.items()):
        with zipfile.ZipFile(path / name, "w") as archive:
            archive.writestr("w/data.pkl", b"\x80\x02N.")
            archive.writestr("w/data/0", content)
        os.utime(path / name, (at + count, at + count))
    for name in metadata:
        (path / name).write_bytes(b"\x80\x02N.")
        os.utime(path / name, (at + 9, at + 9))
    return path


ORDERS = {
    "metadata first": [".metadata", "__0_0.distcp", "__1_0.distcp"],
    "metadata between": ["__1_0.distcp", ".metadata", "__0_0.distcp"],
    "another between": ["__0_0.distcp", ".metadata", "__1_0.distcp"],
    "metadata last": ["__1_0.distcp", "__0_0.distcp", ".metadata"],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("apart_ns", [1, 10**6, 10**9])
@pytest.mark.parametrize("kind", [".metadata", "__{}.metadata"])
def test_a_copy_without_the_times(tmp_path: Path, order: str, apart_ns: int, kind: str) -> None:
    """Copies file by file without the times are valid, also with a shard that all have equal."""
    metadata = tuple(dict.fromkeys(kind.format(rank) for rank in (0, 1)))
    begun = time.time_ns() - 3600 * 10**9
    for step in (10, 20, 30):
        shards = {"__0_0.distcp": b"frozen", "__1_0.distcp": b"%06d" % step}
        path = saved_by(tmp_path, step, shards, metadata)
        names = [one for name in ORDERS[order]
                 for one in (metadata if name == ".metadata" else [name])]  # fmt: skip
        for name in names:
            begun += apart_ns
            os.utime(path / name, ns=(begun, begun))
    request = SurveyRequest(tmp_path, "run", quiet=True, first_attempt_wall=0.0)
    assert [(entry.valid, entry.reason) for entry in survey(request).entries] == [(True, None)] * 3


@pytest.mark.parametrize("apart_s", [1, -1])
def test_only_one_was_copied_without_its_times(tmp_path: Path, apart_s: int) -> None:
    """A copy with late or early shards is valid beside siblings with right times.

    Its shards' times are wrong together, and one shard is not the sibling's.
    """
    for step in (10, 20):
        shards = {"__0_0.distcp": b"frozen", "__1_0.distcp": b"%06d" % step}
        path = saved_by(tmp_path, step, shards, (".metadata",))
    at = (path / ".metadata").stat().st_mtime
    for name in shards:
        os.utime(path / name, (at + apart_s, at + apart_s))
    request = SurveyRequest(tmp_path, "run", quiet=True, first_attempt_wall=0.0)
    assert [entry.valid for entry in survey(request).entries] == [True, True]


@pytest.mark.parametrize("metadata", [(".metadata",), ("__0.metadata", "__1.metadata")])
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("later_s", [0.5, None])
def test_shards_of_the_sibling(
    tmp_path: Path, metadata: tuple[str, ...], rank: int, count: int, later_s: float | None
) -> None:
    """One or two of the sibling's shards are seen, whatever their times and the metadata."""
    first, second = (
        saved_by(tmp_path, step, {f"__{one}_0.distcp": b"%d %05d" % (one, step) for one in (0, 1)},
                 metadata)
        for step in (10, 20)
    )  # fmt: skip
    for one in range(rank, rank + count):
        name = f"__{one % 2}_0.distcp"
        shutil.copy2(first / name, second / name)
        if later_s is not None:
            at = (second / metadata[0]).stat().st_mtime + later_s
            os.utime(second / name, (at, at))
    request = SurveyRequest(tmp_path, "run", quiet=True, first_attempt_wall=0.0)
    newest, older = survey(request).entries
    assert (newest.valid, older.valid) == (False, True)
    assert "is the same as in checkpoint-10" in (newest.reason or "")

"""The checkpoints of these tests, whose bytes depend on step and attempt alone."""

import io
import json
import os
import zipfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

from supervisor.checkpoint.proofs.zip_archive import read_records
from supervisor.memory.seal import SealWriter, Snapshot
from supervisor.memory.slots import SlotPaths, Whole, make_root, read_whole

RUN = "run"


class Made(NamedTuple):
    """A checkpoint that a writer made."""

    step: int
    attempt: int


class _Stream(io.BytesIO):
    """A file without seek: zipfile then writes data descriptors, as torch does."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


@cache
def contents(step: int, attempt: int) -> dict[str, bytes]:
    """The files: an archive of several blocks, a file in a folder, and the position."""
    words = [b"weights of step %05d, attempt %02d: %05d;" % (step, attempt, n) for n in range(400)]
    stream = _Stream()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in (("archive/data.pkl", words[0]), ("archive/data/0", b"".join(words))):
            archive.writestr(zipfile.ZipInfo(name), data)
    return {
        "model.pt": stream.getvalue(),
        "shards/rank-0.bin": b"shard %05d %02d;" % (step, attempt) * 20,
        "training_state.json": b'{"global_step": %d, "current_epoch": 0, "format": 1}' % step,
    }


def identify(path: Path, step: int | None) -> Made | None:
    """The step and attempt whose bytes a directory holds; None if it matches no attempt."""
    found = {
        one.relative_to(path).as_posix(): one.read_bytes()
        for one in path.rglob("*")
        if one.is_file() and one.name != "manifest.json"
    }
    if step is None:
        return None
    return next((Made(step, n) for n in (1, 2) if found == contents(step, n)), None)


def fill_slot(
    root: Path, made: Made, directory: Path, *, sequence: int, index: int, before: tuple[str, ...]
) -> Whole:
    """Write a snapshot as a trainer does: the CRCs in its archive are blank."""
    make_root(root)
    slot = SlotPaths(root / f"slot-{index}")
    files = contents(*made)
    snapshot = Snapshot(
        name=f"checkpoint-{made.step}",
        directory=str(directory),
        step=made.step,
        epoch=0,
        kind="periodic",
        run_id=RUN,
        attempt=made.attempt,
        resumed_from=None,
        world_size=1,
        torch_version=None,
        is_wanted=True,
        before=before,
        bytes=sum(map(len, files.values())),
        written=1.8e9 + sequence,
    )
    for name, data in files.items():
        path = slot.checkpoint(snapshot) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    _blank_checksums(slot.checkpoint(snapshot) / "model.pt")
    weights = {"files": {"model.pt": []}}
    slot.weights.write_text(json.dumps(weights))
    seal = SealWriter(slot.seal)
    seal.begin()
    seal.close_over(sequence, snapshot)
    seal.close()
    return read_whole(root)[0]


def _blank_checksums(path: Path) -> None:
    with path.open("r+b") as file:
        fd = file.fileno()
        for record in read_records(fd, os.fstat(fd).st_size):
            assert record.is_described
            os.pwrite(fd, bytes(4), record.end + 4)
            os.pwrite(fd, bytes(4), record.entry + 16)

"""Persisting: what is on the disk equals what was in the slot, or there is nothing."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from supervisor.checkpoint.validate import validate
from supervisor.snapshot.persist import persist
from supervisor.snapshot.verdict import read_verdict
from tests.snapshot.conftest import Fill, State


def is_sound_zip(path: Path) -> bool:
    """Whether Python's own zipfile finds every record's CRC right."""
    done = subprocess.run(
        [sys.executable, "-m", "zipfile", "-t", str(path)], capture_output=True, text=True
    )
    return done.returncode == 0 and "Done testing" in done.stdout and "orrupt" not in done.stdout


def has_equal_bits(found: object, wanted: object) -> bool:
    """Whether two states hold the same tensors, bit for bit."""
    if isinstance(wanted, torch.Tensor):
        assert isinstance(found, torch.Tensor)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        flat = found.contiguous().flatten().view(torch.uint8)
        return torch.equal(flat, wanted.contiguous().flatten().view(torch.uint8))
    if isinstance(wanted, Mapping):
        assert isinstance(found, Mapping)
        return found.keys() == wanted.keys() and all(
            has_equal_bits(found[key], wanted[key]) for key in wanted
        )
    return found == wanted


def test_a_snapshot_becomes_a_valid_checkpoint(
    fill: Fill, states: dict[str, State], tmp_path: Path
) -> None:
    """Proven by hashes, loadable by plain torch, sound as zip, its time that of the snapshot."""
    whole = fill(510, states, written=1_700_000_000.125, attempt=2, kind="epoch")
    assert not is_sound_zip(whole.path / "model.pt")
    done = persist(whole)
    assert done.path == tmp_path / "out" / "checkpoint-510"
    assert (done.bytes, done.finite, done.was_there) == (whole.snapshot.bytes, True, False)
    verdict = validate(done.path)
    assert (verdict.valid, verdict.proof, verdict.finite) == (True, "hashes", True)
    assert (verdict.step, verdict.epoch, verdict.kind) == (510, 3, "epoch")
    assert '"wall_time": "2023-11-14T22:13:20.125Z"' in (done.path / "manifest.json").read_text()
    for name, state in states.items():
        assert is_sound_zip(done.path / name)
        assert has_equal_bits(torch.load(done.path / name, weights_only=True), state)
    kept = read_verdict(whole)
    assert kept is not None
    assert (kept.finite, kept.problem) == (True, None)

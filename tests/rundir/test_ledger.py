"""The ledger survives torn lines, rot and a full disk."""

import errno
import os
import subprocess
import tracemalloc
from pathlib import Path

import pytest

from supervisor.rundir.ledger import (
    RESERVE_BYTES,
    LedgerWriter,
    decode_entry,
    encode_entry,
    iterate_ledger,
    read_ledger,
    read_ledger_report,
)


def writer(folder: Path) -> LedgerWriter:
    """A ledger writer in a folder."""
    return LedgerWriter(folder / "ledger.jsonl", folder / "reserve")


def test_round_trip_with_hostile_text(tmp_path: Path) -> None:
    """Quotes, newlines, the checksum's mark and control sequences are read as written."""
    entry = {"type": "x", "reason": 'a "quoted"\n line,"sum":"0"}\x1b[31m é'}
    ledger = writer(tmp_path)
    assert ledger.append([entry])
    (read,) = read_ledger(tmp_path / "ledger.jsonl")
    assert {k: v for k, v in read.items() if k not in ("at", "monotonic")} == entry


def test_every_flipped_bit_is_seen() -> None:
    """A line with any one bit flipped is no entry."""
    line = encode_entry({"type": "attempt_ended", "attempt": 3, "code": 1})
    for index in range(len(line) - 1):
        for bit in range(8):
            rotten = bytearray(line)
            rotten[index] ^= 1 << bit
            assert decode_entry(bytes(rotten)) is None


def test_torn_tail_loses_only_itself(tmp_path: Path) -> None:
    """A line torn by a power cut does not swallow the next one."""
    path = tmp_path / "ledger.jsonl"
    writer(tmp_path).append([{"type": "a"}, {"type": "b"}])
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:cut])
        writer(tmp_path).append([{"type": "c"}])
        kinds = [entry["type"] for entry in read_ledger(path)]
        assert kinds[-1] == "c"
        assert kinds[:-1] in ([], ["a"], ["a", "b"])


def test_absent_ledger_is_empty(tmp_path: Path) -> None:
    """An absent ledger has no entries."""
    assert read_ledger_report(tmp_path / "none") == ([], 0)


@pytest.mark.root
def test_full_disk_spends_the_reserve_and_then_keeps_entries(tmp_path: Path) -> None:
    """On a full disk a decision is still recorded; an entry that does not fit is kept for later."""
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(mount)], check=True)
    try:
        ledger = writer(mount)
        assert ledger.ensure_reserve()
        assert (mount / "reserve").stat().st_size == RESERVE_BYTES
        _fill(mount / "filler")
        assert ledger.append([{"type": "decision", "state": "waiting"}])
        assert not (mount / "reserve").exists()
        assert not ledger.ensure_reserve()
        _fill(mount / "filler2")
        long = {"type": "later", "reason": "x" * 200_000}
        assert not ledger.append([long])
        assert ledger.backlog == 1
        (mount / "filler").unlink()
        assert ledger.append([])
        kinds = [entry["type"] for entry in read_ledger(mount / "ledger.jsonl")]
        assert kinds == ["decision", "later"]
        ledger.close()
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def _fill(path: Path) -> None:
    with path.open("wb") as file:
        try:
            while True:
                os.write(file.fileno(), b"\0" * 65536)
        except OSError:
            return


def test_what_json_cannot_say_costs_no_entry(tmp_path: Path) -> None:
    """An infinite loss and a name that is not UTF-8 do not prevent the record of a decision."""
    ledger = writer(tmp_path)
    name = os.fsdecode(b"best\xff")
    assert ledger.append([{"type": "x", "loss": float("inf"), "paths": [name]}])
    (read,) = read_ledger(tmp_path / "ledger.jsonl")
    assert (read["loss"], read["paths"]) == (None, [name])


def test_disk_that_is_found_full_by_fsync_is_written_to_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS may take a write and refuse it at fsync: the entry stays to be written."""
    ledger = writer(tmp_path)
    path = tmp_path / "ledger.jsonl"

    def lose(_: int) -> None:
        path.write_bytes(b"")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lose)
        assert not ledger.append([{"type": "decision"}])
        assert ledger.backlog == 1
    assert ledger.append([])
    assert [entry["type"] for entry in read_ledger(path)] == ["decision"]


def test_weeks_are_replayed_without_holding_them(tmp_path: Path) -> None:
    """Entries come one by one without torn lines, so a daemon's memory does not grow with them."""
    path = tmp_path / "ledger.jsonl"
    line = encode_entry({"type": "checkpoint", "hashes": {"a": "b" * 1000}})
    path.write_bytes(line * 5000 + line[:20] + b"\n" + line)
    tracemalloc.start()
    count = sum(1 for _ in iterate_ledger(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 5001
    assert peak < 1 << 20
    assert list(iterate_ledger(tmp_path / "absent")) == []


def test_what_is_written_without_sync_is_synced_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers see entries at once; the next sync makes them durable or writes them again (NFS)."""
    ledger = LedgerWriter(tmp_path / "ledger.jsonl", tmp_path / "reserve")
    synced: list[int] = []
    full = [OSError(errno.ENOSPC, "full")]

    def fsync(fd: int) -> None:
        if full:
            raise full.pop()
        synced.append(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    assert ledger.append([{"n": 1}], sync=False)
    assert ledger.append([{"n": 2}], sync=False)
    assert ledger.backlog == 0
    assert [entry["n"] for entry in read_ledger(tmp_path / "ledger.jsonl")] == [1, 2]
    assert not ledger.sync()
    assert ledger.backlog == 2
    assert ledger.sync()
    assert synced
    assert ledger.backlog == 0
    assert [entry["n"] for entry in read_ledger(tmp_path / "ledger.jsonl")] == [1, 2, 1, 2]
    ledger.close()

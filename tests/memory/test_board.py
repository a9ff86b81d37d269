"""The board, the seal and requests are read as written; what is damaged reads as nothing."""

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from supervisor.memory import persist_request
from supervisor.memory.persister_status import (
    MOST_RESULTS,
    Current,
    PersisterRecord,
    RescueResult,
    Result,
    blank_board,
    read_board,
    write_board,
)
from supervisor.memory.seal import (
    SEAL_BYTES,
    IllegalMoveError,
    SealWriter,
    SlotState,
    Snapshot,
    read_seal,
)
from supervisor.memory.slots import Lock, SnapshotPaths, is_locked, make_root, read_whole, wake

SNAPSHOT = Snapshot(
    name="checkpoint-510",
    directory="/out",
    step=510,
    epoch=0,
    kind="periodic",
    run_id=None,
    attempt=None,
    resumed_from=None,
    world_size=1,
    torch_version=None,
    is_wanted=True,
    before=("/out/metrics.jsonl",),
    bytes=10,
    written=1.5,
)


def results(count: int) -> tuple[Result, ...]:
    """Make this many results."""
    return tuple(
        Result(number, number, "n", None, False, "e", 1, 0.5, None, "save", 2.5)
        for number in range(count)
    )


def test_a_board_is_read_as_it_was_written(root: Path) -> None:
    """Every field is read, and the newest sixteen of the results."""
    board = blank_board()._replace(
        state="persisting",
        current=Current(1, 2, "checkpoint-2", 3, 4, 5.5),
        rescue=RescueResult(7, "persisted", 2, "/out/checkpoint-2", None),
        results=results(20),
    )
    write_board(root, board)
    found = read_board(root)
    assert found == board._replace(results=board.results[-MOST_RESULTS:])
    assert found is not None
    assert found.is_of_living
    assert not PersisterRecord(found.pid, 1).is_of_living
    assert SnapshotPaths(root).board.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"results": 1, "current": {}}', b"[" * 200_000]
)
def test_a_damaged_file_is_none(root: Path, content: bytes) -> None:
    """A damaged board reads as none, and so does a damaged request."""
    paths = SnapshotPaths(root)
    assert (read_board(root), persist_request.read(root)) == (None, None)
    for path in (paths.board, paths.rescue):
        path.write_bytes(content)
    assert (read_board(root), persist_request.read(root)) == (None, None)


def test_nothing_is_followed_or_waited_for(root: Path, tmp_path: Path) -> None:
    """A link, a pipe, a directory and a file of a gigabyte read as no board."""
    path = SnapshotPaths(root).board
    elsewhere = tmp_path / "board"
    write_board(root, blank_board())
    elsewhere.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(elsewhere)
    assert read_board(root) is None
    path.unlink()
    os.mkfifo(path)
    assert read_board(root) is None
    path.unlink()
    path.mkdir()
    assert read_board(root) is None
    path.rmdir()
    path.touch()
    os.truncate(path, 1 << 30)
    assert read_board(root) is None


def test_requests_have_ids_that_grow(root: Path) -> None:
    """Ids grow beyond those already answered, and the reason is kept."""
    assert persist_request.ask(root, "first") == 1
    assert persist_request.ask(root, "second") == 2
    request = persist_request.read(root)
    assert request is not None
    assert (request.id, request.why) == (2, "second")
    SnapshotPaths(root).rescue.unlink()
    write_board(root, blank_board()._replace(rescue=RescueResult(5, "nothing", None, None, None)))
    assert persist_request.ask(root, "third") == 6


def test_a_seal_says_what_was_closed_over(root: Path) -> None:
    """A slot is whole only between the close and the next begin."""
    path = root / "seal"
    assert read_seal(path).state is SlotState.EMPTY
    seal = SealWriter(path)
    seal.begin()
    assert read_seal(path).snapshot is None
    seal.close_over(3, SNAPSHOT)
    assert read_seal(path) == (SlotState.WHOLE, 3, SNAPSHOT)
    seal.begin()
    assert (read_seal(path).state, read_seal(path).snapshot) != (SlotState.WHOLE, SNAPSHOT)
    seal.close_over(4, SNAPSHOT)
    seal.void()
    assert read_seal(path) == (SlotState.VOID, 4, None)
    seal.close()
    with pytest.raises(ValueError, match="does not fit"):
        SealWriter(path).close_over(5, SNAPSHOT._replace(name="n" * SEAL_BYTES))


def test_only_a_slot_that_was_begun_becomes_whole(root: Path) -> None:
    """The seal obeys its table: a refused move changes nothing."""
    seal = SealWriter(root / "seal")
    with pytest.raises(IllegalMoveError, match="EMPTY × CLOSE"):
        seal.close_over(1, SNAPSHOT)
    seal.begin()
    seal.close_over(1, SNAPSHOT)
    with pytest.raises(IllegalMoveError, match="WHOLE × CLOSE"):
        seal.close_over(2, SNAPSHOT)
    assert seal.current == (SlotState.WHOLE, 1, SNAPSHOT)
    seal.close()


def test_a_seal_with_any_bit_wrong_is_not_whole(root: Path) -> None:
    """Every bit of header and record counts; bytes behind them do not."""
    path = root / "seal"
    seal = SealWriter(path)
    seal.begin()
    seal.close_over(3, SNAPSHOT)
    seal.close()
    good = path.read_bytes()
    used = len(good.rstrip(b"\0"))
    for at in [*range(12), *range(16, 32), *range(64, used)]:
        for bit in range(8):
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            path.write_bytes(bad)
            assert read_seal(path).snapshot is None, (at, bit)
    for size in (0, 1, 63, 64, used, SEAL_BYTES - 1, SEAL_BYTES + 1):
        path.write_bytes(good[:size] if size < SEAL_BYTES else good + b"x")
        is_whole = read_seal(path).state is SlotState.WHOLE
        assert is_whole == (size > SEAL_BYTES)


def test_what_a_later_version_says_more_is_passed_over(root: Path) -> None:
    """A later version's board and snapshot are read without their unknown fields."""
    board = blank_board()._replace(
        current=Current(3, 510, "n", 10, 4, 1.5),
        rescue=RescueResult(7, "persisted", 510, "/out/n", None),
        results=results(2),
    )
    told = board.to_json()
    for part in (told, told["current"], told["rescue"], *told["results"]):
        part["flavour"] = [1]
    SnapshotPaths(root).board.write_text(json.dumps(told))
    assert read_board(root) == board
    later = namedtuple("later", [*Snapshot._fields, "flavour"])
    seal = SealWriter(root / "seal")
    seal.begin()
    seal.close_over(3, later(*SNAPSHOT, "sweet"))  # type: ignore[arg-type]
    seal.close()
    assert read_seal(root / "seal") == (SlotState.WHOLE, 3, SNAPSHOT)


def test_whole_slots_come_newest_first(root: Path) -> None:
    """The order is by sequence, whatever the step, and an absent directory holds none."""
    for index, sequence in ((0, 7), (1, 9)):
        folder = SnapshotPaths(root).slot(index).folder
        folder.mkdir()
        seal = SealWriter(folder / "seal")
        seal.begin()
        seal.close_over(sequence, SNAPSHOT._replace(step=100 - sequence))
        seal.close()
    assert [whole.sequence for whole in read_whole(root)] == [9, 7]
    assert read_whole(root / "absent") == []
    assert read_whole(root)[0].path == root / "slot-1" / "checkpoint-510"


def test_a_ring_without_a_listener(root: Path) -> None:
    """A ring without a listener returns False at once, and the directory may be made twice."""
    assert not wake(root)
    assert not wake(root / "absent")
    assert make_root(root).wake.is_fifo()


LOCKING = """
import sys
from pathlib import Path
from supervisor.memory.slots import Lock
with Lock(Path(sys.argv[1])) as lock:
    print(lock.acquire(shared=sys.argv[2] == "shared"), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["shared", "exclusive"])
def test_locks_hold_between_processes(root: Path, kind: str) -> None:
    """Readers share the lock, a writer excludes them, and a kill releases it."""
    path = root / "lock"
    other = subprocess.Popen(
        [sys.executable, "-c", LOCKING, path, kind],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    assert is_locked(path)
    with Lock(path) as lock:
        assert not lock.acquire()
        assert lock.acquire(shared=True) == (kind == "shared")
    other.kill()
    other.communicate()
    assert not is_locked(path)

"""What the daemon sees of the memory tier, and what it orders; the test plays the persister."""

import os
import shutil
import time
import timeit
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.events import Event, MemorySeen, Rescued
from supervisor.core.snapshot_facts import MemorySnapshot
from supervisor.daemon.look.memory_tier import Snapshots
from supervisor.launcher.messages import Order, PersisterOrder
from supervisor.memory import persist_request
from supervisor.memory.persist import persist
from supervisor.memory.persister_status import (
    Current,
    PersisterRecord,
    RescueResult,
    Result,
    blank_board,
    write_board,
)
from supervisor.memory.seal import SealWriter, SlotState, Snapshot, read_seal
from supervisor.memory.slots import SnapshotPaths, make_root, read_whole
from supervisor.memory.snapshot_proof import SlotVerdict, keep_verdict

STATE = '{"global_step": 20, "current_epoch": 0, "format": 1}'


class Tier:
    """A snapshot directory, slots written by the test, and the daemon's orders and events."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = SnapshotPaths(root)
        self.orders: list[Order] = []
        self.events: list[Event] = []
        self.seen = self.watch()

    def watch(self, known_until: float = 0.0) -> Snapshots:
        """Another daemon's view of the directory."""
        return Snapshots(
            self.root, self.orders.append, self.events.append, failures_known_until=known_until
        )

    def write(
        self,
        sequence: int,
        *,
        wanted: bool = False,
        size: int = 1000,
        directory: Path = Path("/checkpoints"),
    ) -> None:
        """Write a whole snapshot into the next slot; its step is ten times its sequence."""
        slot = self.paths.slot(sequence % 2)
        slot.folder.mkdir(mode=0o700, exist_ok=True)
        name = f"checkpoint-{sequence * 10}"
        seal = SealWriter(slot.seal)
        seal.begin()
        snapshot = Snapshot(
            name, str(directory), sequence * 10, 0, "periodic", "run", 1, None, 1, None,
            wanted, (), size, time.time(),
        )  # fmt: skip
        slot.checkpoint(snapshot).mkdir(exist_ok=True)
        seal.close_over(sequence, snapshot)
        seal.close()

    def result(self, sequence: int, *, error: str | None = None, at: float = 1.0) -> Result:
        """The result of a persist."""
        done = error is None
        path = f"/checkpoints/checkpoint-{sequence * 10}" if done else None
        return Result(
            sequence, sequence * 10, f"checkpoint-{sequence * 10}", path, done, error,
            2000, 2.0, None, "save", at,
        )  # fmt: skip

    def board(self, **more: Any) -> None:
        """Replace the board."""
        write_board(self.root, blank_board()._replace(**more))

    def taken(self) -> list[Event]:
        """The events since the last call."""
        events, self.events[:] = list(self.events), []
        return events


@pytest.fixture
def tier(tmp_path: Path) -> Tier:
    """A tier without snapshots."""
    make_root(tmp_path / "snapshots")
    return Tier(tmp_path / "snapshots")


def test_the_persister_is_ordered_once_there_is_a_slot(tier: Tier) -> None:
    """A trainer without the memory tier costs no process."""
    tier.seen.look()
    assert tier.orders == []
    tier.write(1)
    for _ in range(3):
        tier.seen.look()
    assert tier.orders == [PersisterOrder(directory=str(tier.root))]
    assert tier.seen.persister_status() is None


def test_only_what_changed_becomes_an_event(tier: Tier) -> None:
    """A new snapshot, its way to the disk, and a vanished slot are events."""
    tier.seen.look()
    assert tier.taken() == []
    tier.write(1)
    for _ in range(3):
        tier.seen.look()
    # 1000 bytes at 50 MB/s, the rate that is assumed before any is known.
    assert tier.taken() == [MemorySeen(MemorySnapshot(1, 10, False, 1000 / 50e6))]
    tier.board(results=(tier.result(1),))
    tier.write(2)
    tier.seen.look()
    assert tier.taken() == [MemorySeen(MemorySnapshot(2, 20, False, 1.0))]
    tier.board(results=(tier.result(1), tier.result(2)))
    tier.seen.look()
    assert tier.taken() == [MemorySeen(MemorySnapshot(2, 20, True, 1.0))]
    shutil.rmtree(tier.root)
    tier.seen.look()
    assert tier.taken() == [MemorySeen(None)]
    assert tier.seen.snapshot_status() is None


def test_a_rescue_is_asked_and_answered(tier: Tier) -> None:
    """An answer counts for its own question, not for an earlier one."""
    tier.write(1)
    tier.board(rescue=RescueResult(4, "persisted", 5, "/c", None))
    tier.seen.look()
    tier.taken()
    tier.seen.rescue("the supervisor ends")
    asked = persist_request.read(tier.root)
    assert asked is not None
    assert asked.why == "the supervisor ends"
    tier.seen.look()
    assert tier.taken() == []
    tier.board(rescue=RescueResult(asked.id, "failed", 10, None, "No space left on device"))
    tier.seen.look()
    tier.seen.look()
    assert tier.taken() == [Rescued(is_durable=False, error="No space left on device")]
    tier.seen.rescue("again")
    tier.board(rescue=RescueResult(asked.id + 1, "already", 10, "/c", None))
    tier.seen.look()
    assert tier.taken() == [Rescued(is_durable=True)]


def test_a_rescue_in_a_directory_that_is_gone_is_answered_at_once(tier: Tier) -> None:
    """No daemon waits for a persister that it cannot ask, or whose board vanished."""
    tier.write(1)
    tier.seen.look()
    tier.seen.rescue("why")
    tier.taken()
    shutil.rmtree(tier.root)
    tier.seen.look()
    assert Rescued(is_durable=False, error="its directory in memory vanished") in tier.taken()
    tier.seen.rescue("why")
    (event,) = tier.taken()
    assert isinstance(event, Rescued)
    assert not event.is_durable


def test_it_looks_once_a_second(tier: Tier) -> None:
    """The daemon looks once a second, and sooner if it waits for an answer."""
    tier.seen.poll(0.0)
    tier.write(1)
    tier.seen.poll(0.9)
    assert tier.taken() == []
    tier.seen.poll(1.0)
    assert len(tier.taken()) == 1
    tier.seen.rescue("why")
    assert tier.seen.is_asked
    tier.board(rescue=RescueResult(1, "persisted", 10, "/c", None))
    tier.seen.poll_answer()
    assert tier.taken() == [Rescued(is_durable=True)]
    assert not tier.seen.is_asked


def test_failed_persists_are_told_once_and_across_daemons(tier: Tier) -> None:
    """Each failure is reported once, the first of a row marked; a next daemon knows them."""
    tier.write(1)
    first, second = tier.result(1, error="EIO", at=5.0), tier.result(2, error="EIO", at=6.0)
    tier.board(results=(first,))
    assert [(f.result, f.is_first) for f in tier.seen.look()] == [(first, True)]
    tier.board(results=(first, second))
    assert [(f.result, f.is_first) for f in tier.seen.look()] == [(second, False)]
    assert tier.seen.look() == []
    third = tier.result(4, error="EIO", at=9.0)
    tier.board(results=(first, second, tier.result(3, at=8.0), third))
    assert [f.is_first for f in tier.seen.look()] == [True]
    assert tier.watch(known_until=9.0).look() == []
    assert [f.result for f in tier.watch(known_until=6.0).look()] == [third]


def test_status_tells_what_is_in_memory_and_on_its_way(tier: Tier) -> None:
    """The status has the newest snapshot and the save that is on its way."""
    tier.write(1)
    tier.write(2, wanted=True, size=4000)
    tier.board(
        state="persisting",
        current=Current(1, 10, "checkpoint-10", 1000, 250, time.time() - 1.0),
        results=(tier.result(9, error="Input/output error"),),
    )
    tier.seen.look()
    snapshot, persister = tier.seen.snapshot_status(), tier.seen.persister_status()
    assert snapshot is not None
    assert persister is not None
    assert (snapshot.step, snapshot.bytes, snapshot.slots) == (20, 4000, 2)
    assert snapshot.age_s is not None
    assert 0 <= snapshot.age_s < 60
    assert snapshot.tmpfs_bytes is not None
    assert snapshot.tmpfs_bytes >= 2 * 8192
    assert (persister.state, persister.step, persister.done) == ("persisting", 10, 0.25)
    assert persister.pending == 20
    assert persister.last_error == "Input/output error"
    assert persister.bytes_per_s is not None
    assert 0 < persister.bytes_per_s <= 250
    write_board(tier.root, PersisterRecord(os.getpid(), 1))
    tier.seen.look()
    absent = tier.seen.persister_status()
    assert absent is not None
    assert (absent.state, absent.step, absent.done) == ("absent", None, None)


def test_only_the_slot_of_that_very_checkpoint_is_voided(tier: Tier) -> None:
    """A rollback gives up one slot; the other slot stays, as does one with another checkpoint."""
    tier.write(1)
    tier.write(2)
    path = str(tier.paths.slot(0).folder / "checkpoint-20")
    assert tier.seen.holds(path)
    assert not tier.seen.holds("/checkpoints/checkpoint-20")
    assert tier.seen.void(path, wherever=False)
    assert read_seal(tier.paths.slot(0).seal).state is SlotState.VOID
    assert read_seal(tier.paths.slot(1).seal).state is SlotState.WHOLE
    assert not tier.seen.void(path, wherever=False)


def test_what_the_persister_made_of_it_is_given_up_too(tier: Tier, tmp_path: Path) -> None:
    """On a rollback the checkpoint on the disk goes, too; a copy of a bad snapshot may be good."""
    for wherever, where in ((False, "checkpoint-20"), (True, ".set-aside/superseded")):
        tier.write(2, directory=tmp_path, size=len(STATE))
        whole = read_whole(tier.root)[0]
        (whole.path / "training_state.json").write_text(STATE)
        persist(whole)
        assert tier.seen.void(str(whole.path), wherever=wherever)
        assert (tmp_path / where).is_dir()
    assert not (tmp_path / "checkpoint-20").exists()


def test_what_is_known_to_be_bad_is_not_kept(tier: Tier, tmp_path: Path) -> None:
    """Weights that are not finite are not kept in memory; the previous snapshot is.

    It is not kept, either, while its checkpoint is on the disk, where it was persisted.
    """
    tier.write(1, directory=tmp_path, size=len(STATE))
    (read_whole(tier.root)[0].path / "training_state.json").write_text(STATE.replace("20", "10"))
    tier.write(2)
    keep_verdict(read_whole(tier.root)[0], SlotVerdict(False, "NaN", None))
    tier.seen.look()
    kept = tier.seen.only_in_memory
    assert kept is not None
    assert kept.sequence == 1
    done = persist(kept)
    tier.board(results=(tier.result(1)._replace(path=str(done.path)),))
    tier.seen.look()
    assert tier.seen.only_in_memory is None
    shutil.rmtree(done.path)
    assert tier.seen.only_in_memory == kept


def test_a_look_costs_next_to_nothing(tier: Tier) -> None:
    """0.3 % of a core is 1.5 ms twice a second, for all that the daemon does in weeks."""
    tier.write(1)
    tier.write(2)
    tier.board(results=tuple(tier.result(n) for n in range(16)))
    tier.seen.look()
    # The best of many rounds, so that a busy machine does not decide.
    rounds = timeit.repeat(tier.seen.look, timer=time.process_time, number=20, repeat=20)
    assert min(rounds) / 20 < 0.0005

"""Every interleaving of the memory tier's writer and persister, killed between any two steps."""

import os
from collections.abc import Callable

import pytest

from supervisor.memory import queue, slot_choice
from supervisor.memory.seal import MOVES, Move, SlotState
from tests.model import slots_protocol
from tests.model.explorer import BrokenPromise, Exploration, explore
from tests.model.slots_protocol import Budget

# Writes, deaths of the writer, deaths of the persister, rollbacks.
EVERYTHING = Budget(3, 1, 1, 1)
SMALL = (EVERYTHING, Budget(4, 1, 0, 1))
LARGE = (Budget(4, 1, 1, 0), Budget(3, 2, 1, 1), Budget(4, 1, 1, 1))
BUDGETS = SMALL + LARGE if os.environ.get("MODEL") == "full" else SMALL


def look(budget: Budget) -> Exploration:
    """Explore the slots with this budget."""
    initial = slots_protocol.initial(budget)
    return explore(initial, slots_protocol.moves, slots_protocol.broken, slots_protocol.is_over)


@pytest.mark.timeout(600 if os.environ.get("MODEL") == "full" else 180)
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_no_slot_is_torn_and_one_is_whole(budget: Budget) -> None:
    """No torn slot is resumed from or persisted, one slot stays whole, the newest reaches the disk.

    What a rollback gave up does not reach the disk, or is taken back.
    """
    found = look(budget)
    assert found.states > 10_000


Plant = Callable[[pytest.MonkeyPatch], None]


def reorder(patch: pytest.MonkeyPatch, name: str, *steps: str) -> None:
    """Let a party do these steps in this order."""
    patch.setattr(slots_protocol, name, steps)


def close_before_the_copy(patch: pytest.MonkeyPatch) -> None:
    """The seal says WHOLE before the second page is written."""
    reorder(patch, "WRITING", "lock", "begin", "first page", "close", "second page", "unlock")


def copy_before_the_seal_is_broken(patch: pytest.MonkeyPatch) -> None:
    """The first page changes while the seal still says WHOLE."""
    reorder(patch, "WRITING", "lock", "first page", "begin", "second page", "close", "unlock")


def copy_into_a_slot_that_is_not_begun(patch: pytest.MonkeyPatch) -> None:
    """A seal may be closed at any time, and the writer never breaks it."""
    patch.setitem(MOVES, (SlotState.WHOLE, Move.CLOSE), SlotState.WHOLE)
    patch.setitem(MOVES, (SlotState.EMPTY, Move.CLOSE), SlotState.WHOLE)
    reorder(patch, "WRITING", "lock", "first page", "second page", "close", "unlock")


def write_over_the_only_whole_one(patch: pytest.MonkeyPatch) -> None:
    """The newer slot is written, although the only whole one may be it."""
    patch.setattr(
        slot_choice, "writable", lambda seals: sorted((0, 1), key=lambda one: -seals[one].sequence)
    )


COPY = ("first page", "second page")
END = ("check again", "tell", "unlock")


def commit_unchecked(patch: pytest.MonkeyPatch) -> None:
    """The persister does not check whether the slot stayed unchanged."""
    reorder(patch, "PERSISTING", "lock", *COPY, "commit", *END)


def check_before_the_copy(patch: pytest.MonkeyPatch) -> None:
    """The persister checks before it reads, and holds no lock."""
    reorder(patch, "PERSISTING", "check", *COPY, "commit", *END)


def check_once(patch: pytest.MonkeyPatch) -> None:
    """A snapshot given up between the check and the rename gets its name."""
    reorder(patch, "PERSISTING", "lock", *COPY, "check", "commit", "tell", "unlock")


def give_up_in_memory_alone(patch: pytest.MonkeyPatch) -> None:
    """The daemon does not look at the checkpoint that the persister has just made of it."""
    reorder(patch, "GOING_BACK", "give up")


def persist_nothing_twice(patch: pytest.MonkeyPatch) -> None:
    """The newest snapshot is never persisted."""
    original = queue.next_wanted
    patch.setattr(
        queue,
        "next_wanted",
        lambda wholes, board: original(wholes[1:], board) if len(wholes) > 1 else None,
    )


PLANTED: tuple[tuple[Plant, str], ...] = (
    (close_before_the_copy, "torn"),
    (copy_before_the_seal_is_broken, "torn"),
    (copy_into_a_slot_that_is_not_begun, "torn"),
    (write_over_the_only_whole_one, "there was a whole slot"),
    (commit_unchecked, "torn checkpoint is on the disk"),
    (check_before_the_copy, "torn checkpoint is on the disk"),
    (check_once, "given up is on the disk"),
    (give_up_in_memory_alone, "given up is on the disk"),
    (persist_nothing_twice, "no way leads to an end"),
)


@pytest.mark.parametrize(
    ("plant", "promise"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED]
)
def test_a_step_taken_out_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Plant, promise: str
) -> None:
    """Each planted bug breaks a promise that the real protocol keeps."""
    plant(monkeypatch)
    with pytest.raises(BrokenPromise, match=promise):
        look(EVERYTHING)

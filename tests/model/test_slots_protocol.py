"""Every interleaving of the memory tier's writer and persister, killed between any two steps."""

import os
from collections.abc import Callable

import pytest

from supervisor.memory import queue, slot_choice
from supervisor.memory.seal import MOVES, Move, SlotState
from tests.model import slots_protocol
from tests.model.explorer import BrokenPromise, Exploration, explore
from tests.model.slots_protocol import Budget

# Writes; deaths of the writer and of the persister; rollbacks.
EVERYTHING = Budget(3, 1, 1, 1)
SMALL = (EVERYTHING, Budget(4, 1, 0, 1))
LARGE = (Budget(4, 1, 1, 0), Budget(3, 2, 1, 1), Budget(4, 1, 1, 1))
BUDGETS = SMALL + LARGE if os.environ.get("MODEL") == "full" else SMALL


def look(budget: Budget) -> Exploration:
    """Explore both slots for which this much may happen."""
    initial = slots_protocol.initial(budget)
    return explore(initial, slots_protocol.moves, slots_protocol.broken, slots_protocol.is_over)


@pytest.mark.timeout(600 if os.environ.get("MODEL") == "full" else 180)
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_no_slot_is_torn_and_one_is_whole(budget: Budget) -> None:
    """None torn is resumed from or persisted, one stays whole, all others reach the disk.

    What the run went back behind does not, or is taken back.
    """
    found = look(budget)
    assert found.states > 10_000


Plant = Callable[[pytest.MonkeyPatch], None]


def reorder(patch: pytest.MonkeyPatch, name: str, *steps: str) -> None:
    """Have a party do these steps in this order."""
    patch.setattr(slots_protocol, name, steps)


def close_before_the_copy(patch: pytest.MonkeyPatch) -> None:
    """The seal says WHOLE before the second page is written."""
    reorder(patch, "WRITING", "lock", "begin", "first page", "close", "second page", "unlock")


def copy_before_the_seal_is_broken(patch: pytest.MonkeyPatch) -> None:
    """The first byte changes while the seal still says WHOLE."""
    reorder(patch, "WRITING", "lock", "first page", "begin", "second page", "close", "unlock")


def copy_into_a_slot_that_is_not_begun(patch: pytest.MonkeyPatch) -> None:
    """A seal that may be closed at any time, and a writer that never breaks it."""
    patch.setitem(MOVES, (SlotState.WHOLE, Move.CLOSE), SlotState.WHOLE)
    patch.setitem(MOVES, (SlotState.EMPTY, Move.CLOSE), SlotState.WHOLE)
    reorder(patch, "WRITING", "lock", "first page", "second page", "close", "unlock")


def write_over_the_only_whole_one(patch: pytest.MonkeyPatch) -> None:
    """Whichever slot is older is written, whole or not."""
    patch.setattr(
        slot_choice, "writable", lambda seals: sorted((0, 1), key=lambda one: -seals[one].sequence)
    )


COPY = ("first page", "second page")
END = ("check again", "tell", "unlock")


def commit_unchecked(patch: pytest.MonkeyPatch) -> None:
    """The persister does not ask whether the slot stayed as it was."""
    reorder(patch, "PERSISTING", "lock", *COPY, "commit", *END)


def check_before_the_copy(patch: pytest.MonkeyPatch) -> None:
    """It asks before it reads, and holds no lock."""
    reorder(patch, "PERSISTING", "check", *COPY, "commit", *END)


def check_once(patch: pytest.MonkeyPatch) -> None:
    """What is given up between the check and the rename gets its name."""
    reorder(patch, "PERSISTING", "lock", *COPY, "check", "commit", "tell", "unlock")


def give_up_in_memory_alone(patch: pytest.MonkeyPatch) -> None:
    """The daemon does not look at what the persister has just made of it."""
    reorder(patch, "GOING_BACK", "give up")


def persist_nothing_twice(patch: pytest.MonkeyPatch) -> None:
    """What was begun once is taken for done."""
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
    """Each planted bug breaks a promise that the protocol as it is keeps."""
    plant(monkeypatch)
    with pytest.raises(BrokenPromise, match=promise):
        look(EVERYTHING)

"""The slots' protocol: who writes a slot, who copies it to the disk, who resumes from it.

A slot's content is two pages, so that it can be torn; a whole slot has its sequence in both. The
real code decides the moves of the seal, the slot to write and the snapshot to persist next.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from supervisor.memory import queue, slot_choice
from supervisor.memory.persister_status import PersisterRecord, Result
from supervisor.memory.seal import Move, Seal, SlotState, Snapshot, after
from supervisor.memory.slots import SlotPaths, Whole

# The steps of the writer and of the persister; tests take one out, or move one.
WRITING = ("lock", "begin", "first page", "second page", "close", "unlock")
PERSISTING = (
    "lock", "first page", "second page", "check", "commit", "check again", "tell", "unlock",
)  # fmt: skip
# The daemon's steps with a snapshot behind which the run goes back.
GOING_BACK = ("give up", "look on the disk")
Pages = tuple[int, int]


class Slot(NamedTuple):
    """One slot. `writer` and `reader`: who has its lock, exclusive or shared.

    `left`: the last sequence of it that a rollback has given up.
    """

    state: SlotState = SlotState.EMPTY
    sequence: int = 0
    pages: Pages = (0, 0)
    writer: bool = False
    reader: bool = False
    left: int = 0


class Work(NamedTuple):
    """A party's work on a slot: its next step, and what it has copied."""

    slot: int
    sequence: int
    step: int = 0
    pages: Pages = (0, 0)
    is_good: bool = True


class Budget(NamedTuple):
    """What may still happen."""

    writes: int
    writer_deaths: int
    persister_deaths: int
    rollbacks: int


class World(NamedTuple):
    """Everything; `results` are on the board: sequence, and whether it is on the disk."""

    budget: Budget
    slots: tuple[Slot, Slot] = (Slot(), Slot())
    has_writer: bool = False
    writer: Work | None = None
    persister: Work | None = None
    results: tuple[tuple[int, bool], ...] = ()
    disk: frozenset[Pages] = frozenset()
    newest: int = 0
    """The sequence that was closed last and is not given up; no party knows it."""
    pinned: int = 0
    """The other slot's sequence when a slot was written because the other was pinned."""
    given_up: frozenset[int] = frozenset()
    """The sequences that rollbacks gave up; no party knows them."""
    has_died: bool = False
    """Whether a persister was killed: the next one takes back what the dead one could not."""
    broken: str | None = None


def initial(budget: Budget) -> World:
    """A directory that no run has used."""
    return World(budget)


def moves(world: World) -> Iterator[tuple[str, World, bool]]:
    """Everything that can happen next."""
    yield from _writer(world)
    yield from _persister(world)
    yield from _outside(world)


def _with_slot(world: World, index: int, slot: Slot) -> World:
    slots = list(world.slots)
    slots[index] = slot
    return world._replace(slots=(slots[0], slots[1]))


def _snapshot(sequence: int) -> Snapshot:
    return Snapshot(
        f"checkpoint-{sequence}", "/", sequence, 0, "periodic", None, None, None, 1, None, True,
        (), 0, 0.0,
    )  # fmt: skip


def _seals(world: World) -> list[Seal]:
    return [
        Seal(one.state, one.sequence, _snapshot(one.sequence) if one.state == 2 else None)
        for one in world.slots
    ]


def _wholes(world: World) -> list[Whole]:
    found = [
        Whole(SlotPaths(Path(str(index))), one.sequence, _snapshot(one.sequence))
        for index, one in enumerate(world.slots)
        if one.state is SlotState.WHOLE
    ]
    return sorted(found, key=lambda one: one.sequence, reverse=True)


def _board(world: World) -> PersisterRecord:
    results = tuple(
        Result(number, number, f"checkpoint-{number}", None, ok, None, 0, 0.0, True, "save", 0.0)
        for number, ok in world.results
    )
    return PersisterRecord(1, 1, results=results)


def _writer(world: World) -> Iterator[tuple[str, World, bool]]:
    work = world.writer
    if not world.has_writer:
        return
    if work is None:
        if world.budget.writes:
            yield from _take_turn(world)
        return
    slot, name = world.slots[work.slot], WRITING[work.step]
    match name:
        case "lock":
            slot = slot._replace(writer=True)
        case "begin":
            slot = slot._replace(state=after(slot.state, Move.BEGIN))
        case "first page":
            slot = slot._replace(pages=(work.sequence, slot.pages[1]))
        case "second page":
            slot = slot._replace(pages=(slot.pages[0], work.sequence))
        case "close":
            slot = slot._replace(state=after(slot.state, Move.CLOSE), sequence=work.sequence)
            world = world._replace(newest=work.sequence)
        case "unlock":
            slot = slot._replace(writer=False)
    is_last = work.step + 1 == len(WRITING)
    done = None if is_last else work._replace(step=work.step + 1)
    yield f"writer: {name}", _with_slot(world._replace(writer=done), work.slot, slot), False


def _take_turn(world: World) -> Iterator[tuple[str, World, bool]]:
    for index in slot_choice.writable(_seals(world)):
        slot = world.slots[index]
        if slot.reader or slot.writer:
            continue  # pinned: take the other slot
        sequence = max(one.sequence for one in world.slots) + 1
        spent = world.budget._replace(writes=world.budget.writes - 1)
        begun = world._replace(budget=spent, writer=Work(index, sequence))
        other = world.slots[1 - index]
        if other.reader:
            begun = begun._replace(pinned=other.sequence)
        # Choice and lock are one move, because the lock itself tells which slot is taken.
        yield from ((f"writer: slot {index}", one, fault) for _, one, fault in _writer(begun))
        return


def _persister(world: World) -> Iterator[tuple[str, World, bool]]:
    work = world.persister
    if work is None:
        if world.has_died and _left(world):
            yield "persister: takes back", _without(world, _left(world)), False
            return
        wanted = queue.next_wanted(_wholes(world), _board(world))
        if wanted is not None:
            index = int(wanted.slot.folder.name)
            begun = world._replace(persister=Work(index, wanted.sequence))
            yield f"persister: takes {wanted.sequence}", begun, False
        return
    slot, name = world.slots[work.slot], PERSISTING[work.step]
    is_unchanged = slot.state is SlotState.WHOLE and slot.sequence == work.sequence
    match name:
        case "lock":
            # A writer that stands still may have the lock; the persister's check then notices it.
            slot = slot._replace(reader=not slot.writer)
        case "first page":
            work = work._replace(pages=(slot.pages[0], work.pages[1]))
        case "second page":
            work = work._replace(pages=(work.pages[0], slot.pages[1]))
        case "check":
            work = work._replace(is_good=is_unchanged)
        case "commit" if work.is_good:
            world = world._replace(disk=world.disk | {work.pages})
        case "check again" if work.is_good:
            if slot.left == work.sequence:
                world = _without(world, {work.sequence})
                work = work._replace(is_good=False)
        case "tell" if work.is_good or is_unchanged:
            world = world._replace(results=(*world.results, (work.sequence, work.is_good))[-4:])
        case "unlock":
            slot = slot._replace(reader=False)
    is_last = work.step + 1 == len(PERSISTING)
    done = None if is_last else work._replace(step=work.step + 1)
    yield f"persister: {name}", _with_slot(world._replace(persister=done), work.slot, slot), False


def _outside(world: World) -> Iterator[tuple[str, World, bool]]:
    budget = world.budget
    if world.has_writer and budget.writer_deaths:
        free = tuple(one._replace(writer=False) for one in world.slots)
        spent = budget._replace(writer_deaths=budget.writer_deaths - 1)
        dead = world._replace(budget=spent, has_writer=False, writer=None, slots=(free[0], free[1]))
        yield "fault: SIGKILL to the writer", dead, True
    if world.persister is not None and budget.persister_deaths:
        free = tuple(one._replace(reader=False) for one in world.slots)
        spent = budget._replace(persister_deaths=budget.persister_deaths - 1)
        yield (
            "fault: SIGKILL to the persister",
            world._replace(budget=spent, persister=None, slots=(free[0], free[1]), has_died=True),
            True,
        )
    if not world.has_writer:
        yield "daemon: launches", _resume(world), False
        wholes = _wholes(world)
        if wholes and budget.rollbacks:
            spent = budget._replace(rollbacks=budget.rollbacks - 1)
            yield "daemon: goes back", _go_back(world, wholes)._replace(budget=spent), True


def _go_back(world: World, wholes: list[Whole]) -> World:
    index = int(wholes[0].slot.folder.name)
    slot = world.slots[index]
    if "give up" in GOING_BACK:
        slot = slot._replace(state=after(slot.state, Move.GIVE_UP), left=slot.sequence)
    if "look on the disk" in GOING_BACK:
        world = _without(world, {slot.sequence})
    newest = wholes[1].sequence if len(wholes) > 1 else 0
    given_up = world.given_up | {slot.sequence}
    return _with_slot(world._replace(newest=newest, given_up=given_up), index, slot)


def _left(world: World) -> set[int]:
    """The sequences on the disk whose slots were given up and not written since."""
    void = {slot.sequence for slot in world.slots if slot.state is SlotState.VOID}
    return {number for number in void if (number, number) in world.disk}


def _without(world: World, numbers: set[int]) -> World:
    return world._replace(disk=frozenset(one for one in world.disk if one[0] not in numbers))


def _resume(world: World) -> World:
    """The next trainer resumes from the content of the newest whole slot."""
    world = world._replace(has_writer=True)
    wholes = _wholes(world)
    if not wholes:
        return world
    chosen = world.slots[int(wholes[0].slot.folder.name)]
    if chosen.pages != (chosen.sequence, chosen.sequence):
        return world._replace(broken=f"resumed from a torn slot: {chosen}")
    # The writer skips a slot that is being persisted, and meanwhile writes only the other slot.
    if chosen.sequence < world.newest - 1 and chosen.sequence != world.pinned:
        return world._replace(broken="more than one snapshot was lost")
    return world


def broken(world: World) -> str | None:
    """The promise that a world breaks, or None."""
    if world.broken is not None:
        return world.broken
    if any(first != second for first, second in world.disk):
        return "a torn checkpoint is on the disk"
    is_at_rest = world.persister is None and not world.has_died
    if is_at_rest and any(first in world.given_up for first, _ in world.disk):
        return "what was given up is on the disk"
    if world.newest and not _wholes(world):
        return "there was a whole slot, and there is none"
    return None


def is_over(world: World) -> bool:
    """Whether all writes are done and the newest is on the disk."""
    if world.budget.writes or world.writer is not None or world.persister is not None:
        return False
    if _left(world):
        return False
    wholes = _wholes(world)
    return not wholes or (wholes[0].sequence,) * 2 in world.disk

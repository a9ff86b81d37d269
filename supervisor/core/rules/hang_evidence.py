"""Judges what looks have shown: nothing moves, a rank is missing, or the attempt is at work."""

from dataclasses import dataclass
from enum import StrEnum

from supervisor.core.events import Looked
from supervisor.core.look_facts import RankSeen


class Sight(StrEnum):
    """What was seen of an attempt that gives no sign of life."""

    STILL = "still"
    """Stacks equal and counters still."""
    MISSING = "missing"
    """A rank is stopped or gone, or others wait in a collective that one rank has not reached."""
    UNCLEAR = "unclear"
    """The counters that were read stood still. Others, or stacks, could not be read, or the stacks
    do not tell a wait from a hang."""
    WORK = "work"


@dataclass(frozen=True, slots=True)
class Sighting:
    """The judgement, and its grounds in words."""

    sight: Sight
    what: str


def judge(looked: Looked) -> Sighting:
    """What three looks at the whole tree of processes say.

    The worst outcome is a false kill. So a stack that could not be read is no proof of stillness,
    and a rank that is gone proves nothing while another one works.
    """
    living = [rank for rank in looked.ranks if not rank.is_gone]
    if not living:
        return Sighting(Sight.UNCLEAR, "none of the attempt's processes could be looked at")
    stopped = [rank for rank in living if rank.is_stopped]
    if stopped:
        return Sighting(Sight.MISSING, f"{_names(stopped)} stopped by a signal (SIGSTOP, SIGTSTP)")
    waiting = [rank for rank in living if rank.waits_in is not None]
    elsewhere = [rank for rank in living if rank.waits_in is None]
    at_work = [rank for rank in elsewhere if rank.moved]
    blocked = [rank for rank in elsewhere if rank.blocked or rank.unread or not rank.is_known]
    gone = [rank for rank in looked.ranks if rank.is_gone]
    if not at_work and not blocked and not looked.moved:
        if gone:
            return Sighting(
                Sight.MISSING, f"{_names(gone)} gone without a word, and the other ranks wait"
            )
        if waiting and elsewhere:
            where = ", ".join(sorted({rank.waits_in or "" for rank in waiting}))
            others = ", ".join(rank.name for rank in waiting)
            return Sighting(Sight.MISSING, f"{others} in {where}: waiting for {_list(elsewhere)}")
    moved = [
        *looked.moved,
        *(f"{rank.name}: {_first(rank.moved)}" for rank in living if rank.moved),
    ]
    if moved:
        return Sighting(Sight.WORK, "; ".join(moved[:3]))
    unclear = [f"{rank.name} waits for {rank.blocked}" for rank in living if rank.blocked]
    unclear += [f"no stacks of {rank.name} could be read" for rank in living if not rank.is_known]
    unclear += [f"{rank.name}: {rank.unread}" for rank in living if rank.unread]
    if unclear:
        return Sighting(Sight.UNCLEAR, "; ".join(unclear[:3]))
    return Sighting(
        Sight.STILL, "nothing moves: stacks equal in three looks, CPU and I/O counters still"
    )


def _first(moved: tuple[str, ...]) -> str:
    return ", ".join(moved[:2])


def _list(ranks: list[RankSeen]) -> str:
    return ", ".join(rank.name for rank in ranks)


def _names(ranks: list[RankSeen]) -> str:
    return f"{_list(ranks)} {'is' if len(ranks) == 1 else 'are'}"

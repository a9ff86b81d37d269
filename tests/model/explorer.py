"""Explores every interleaving of a small model, breadth first, so that a trace is a shortest one.

A model gives the possible moves of a state. Nothing here may depend on what is modelled.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

Label = str
Moves = Callable[[Hashable], Iterable[tuple[Label, Hashable, bool]]]
"""For a state: each move's name, the state after it, and whether it is a fault.

A fault may happen; progress must never need one.
"""


class Exploration(NamedTuple):
    """The number of explored states and moves."""

    states: int
    moves: int


class BrokenPromise(AssertionError):
    """A reachable state in which a promise does not hold, with a shortest way to it."""

    def __init__(self, promise: str, trace: list[str], state: Hashable) -> None:
        lines = [promise, *(f"  {number:3} {label}" for number, label in enumerate(trace, 1))]
        super().__init__("\n".join([*lines, f"  {state}"]))
        self.promise = promise
        self.trace = trace


def explore(
    initial: Hashable,
    moves: Moves,
    broken: Callable[[Hashable], str | None],
    is_over: Callable[[Hashable], bool],
) -> Exploration:
    """Explore every reachable state. Raises BrokenPromise.

    `broken` names the promise that a state breaks. Besides, a state in which `is_over` holds must
    be reachable from each state without another fault.
    """
    numbers: dict[Hashable, int] = {initial: 0}
    states: list[Hashable] = [initial]
    came_from: list[tuple[int, Label]] = [(-1, "")]
    # For each state: the states that lead to it without a fault.
    before: list[list[int]] = [[]]
    count = 0

    def trace(number: int) -> list[str]:
        labels = []
        while number > 0:
            number, label = came_from[number]
            labels.append(label)
        return labels[::-1]

    if (promise := broken(initial)) is not None:
        raise BrokenPromise(promise, [], initial)
    at = 0
    while at < len(states):
        for label, state, is_fault in moves(states[at]):
            count += 1
            number = numbers.get(state)
            if number is None:
                number = numbers[state] = len(states)
                states.append(state)
                came_from.append((at, label))
                before.append([])
                if (promise := broken(state)) is not None:
                    raise BrokenPromise(promise, trace(number), state)
            if not is_fault:
                before[number].append(at)
        at += 1
    pending = [number for number, state in enumerate(states) if is_over(state)]
    can_end = bytearray(len(states))
    for number in pending:
        can_end[number] = True
    while pending:
        for number in before[pending.pop()]:
            if not can_end[number]:
                can_end[number] = True
                pending.append(number)
    lost = can_end.find(0)
    if lost >= 0:
        raise BrokenPromise("no way leads to an end", trace(lost), states[lost])
    return Exploration(len(states), count)

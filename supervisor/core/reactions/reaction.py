"""What a reaction gives back: the condition it found, the changed facts, and what to do."""

from dataclasses import dataclass

from supervisor.core.effects import Effect
from supervisor.core.states import State


@dataclass(frozen=True, slots=True)
class Reaction:
    """`condition` selects the row of the table; the row alone says what state follows."""

    condition: str
    state: State
    effects: tuple[Effect, ...] = ()

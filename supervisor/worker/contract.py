"""What a training process says of itself: its phases and its exit codes. `enum` and nothing else.

Trainers import it in Pythons of their own (3.9 and newer); `core/vocabulary.py` takes it from here.
"""

from enum import IntEnum

EXIT_PREEMPTED = 75
"""Stopped on request, state saved."""
EXIT_CONFIGURATION = 78
"""What is wrong has to be corrected by a person."""


class Phase(IntEnum):
    """What a rank is doing, as its page has it; each phase has its own deadline."""

    STARTUP = 0
    STEP = 1
    EVAL = 2
    SAVE = 3
    COMPILE = 4
    FINAL = 5
    """What comes after the last step: no step is expected any more."""

    @property
    def word(self) -> str:
        """As people, `run.phase(…)` and `status.json` say it."""
        return self.name.lower()

"""The words in which a training process tells of itself: its phases and its exit codes.

It imports `enum` and nothing else: trainers load it into their own Python (3.9 and newer).
`core/vocabulary.py` takes these words from here.
"""

from enum import IntEnum

EXIT_PREEMPTED = 75
"""Stopped on request, state saved."""
EXIT_CONFIGURATION = 78
"""A person has to correct what is wrong."""


class Phase(IntEnum):
    """What a rank is doing, as its page shows it. Each phase has its own deadline."""

    STARTUP = 0
    STEP = 1
    EVAL = 2
    SAVE = 3
    COMPILE = 4
    FINAL = 5
    """The time after the last step: no step is expected any more."""

    @property
    def word(self) -> str:
        """The phase's name as people, `run.phase(…)` and `status.json` write it."""
        return self.name.lower()

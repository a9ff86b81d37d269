"""What an attached trainer can say that it is doing."""

from enum import StrEnum


class Phase(StrEnum):
    """What an attached trainer says it is doing; each has a deadline of its own."""

    STARTUP = "startup"
    STEP = "step"
    EVAL = "eval"
    SAVE = "save"
    COMPILE = "compile"
    FINAL = "final"
    """What comes after the last step: no step is expected any more."""

"""What the content of a single file says of itself, where its name does not say it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Inside:
    """What is known from inside a file; None for what it does not say.

    `epoch` is an index from 0. `is_surer`: the step counts more than a number in the name, which
    may be an epoch. `is_weights_alone`: it lacks the state that the tool needs to resume.
    `is_spent`: the tool took that state out when the training had ended.
    """

    step: int | None = None
    epoch: int | None = None
    is_surer: bool = False
    is_weights_alone: bool = False
    is_spent: bool = False

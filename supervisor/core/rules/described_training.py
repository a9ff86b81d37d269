"""What the trainer's description of its training says of an exit with 0."""

from supervisor.core.ending import Ending
from supervisor.core.states import State
from supervisor.core.trainer_description import TrainerDescription


def cut_short(state: State, ending: Ending) -> str | None:
    """Why the training that began last is not over; None where nothing says so.

    It is over at its last step, or once the trainer has said that it ended by itself.
    """
    said = state.description
    if said is None or said.training is None or said.is_over or said.total_steps is None:
        return None
    step = last_step(state, said, ending)
    if step is None:
        return f"its training of {said.total_steps} steps had made no step, and had not ended"
    if step >= said.total_steps:
        return None
    return f"its training was at step {step} of {said.total_steps}, and had not ended"


def unfinished_words(state: State, ending: Ending) -> str:
    """What to tell with a finish below the total; empty where there is nothing to tell."""
    said, step = state.description, ending.step
    if said is None or said.total_steps is None or step is None:
        return ""
    if step != last_step(state, said, ending) or step >= said.total_steps:
        return ""
    how = " ended by itself" if said.is_over else " exited with 0"
    return f" of {said.total_steps}: the training{how} there"


def last_step(state: State, said: TrainerDescription, ending: Ending) -> int | None:
    """The furthest that the training is known to have come."""
    began = state.checkpoint
    has_resumed = began is not None and said.resumed_from == began.path
    steps = (
        ending.step,
        None if said.training is None else said.training.step,
        began.step if began is not None and has_resumed else None,
    )
    return max((step for step in steps if step is not None), default=None)

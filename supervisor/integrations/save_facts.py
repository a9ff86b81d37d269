"""Says how often a training saves, what of it is not restored, and how a stop goes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .training import Training

    # Steps between two saves that can be resumed from (0: there are none), and seconds, None where
    # that is not known; and what a resume does not restore, in sentences.
    SaveFacts = tuple[int | None, float | None, list[str]]


def describe_saves(training: Training, ask: Callable[[], SaveFacts]) -> None:
    """Describe the saves of a training as its steps begin. `ask` reads them from the library.

    Never raises: the training is supervised as well without them.
    """
    steps, seconds, not_restored = None, None, list[str]()
    try:
        steps, seconds, not_restored = ask()
    except Exception as error:
        training.tell(f"how often it saves is not known: {type(error).__name__}: {error}")
    training.describe(
        save_every=steps,
        save_every_s=seconds,
        not_restored=not_restored,
        stop="saves" if training.may_stop else "script",
    )

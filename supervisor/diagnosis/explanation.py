"""One explanation of an end: what a line or a traceback says, before any is chosen."""

from dataclasses import dataclass

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.rule import Weight

# How many steps the other ranks print before they notice that one has died.
PEERS_GO_ON_STEPS = 3


# A false one costs a night, a GPU or a checkpoint.
_GRAVE = frozenset({Action.HOLD, Action.EXCLUDE, Action.ROLLBACK})


@dataclass(frozen=True, slots=True)
class Explanation:
    """Its first and last line, the process's label, its weight, its failure and its evidence."""

    index: int
    end: int
    stream: str
    weight: Weight
    failure: Failure
    action: Action
    evidence: tuple[str, ...]
    exception: str | None = None
    frame: str | None = None
    advice: Advice | None = None
    full_disk_decides: bool = False
    outlasts: int = 0
    is_traceback: bool = False
    is_unhandled: bool = False
    """A traceback that begins at the outermost call, above which nothing can catch it."""
    is_reported: bool = False
    is_unsure: bool = False
    """The words stand amid other text, so they may be quoted."""
    loads_checkpoint: bool | None = None
    """Whether its calls were loading a checkpoint; None where no calls are known."""
    names_killer: bool = False
    from_kernel: bool = False
    is_users: bool = False
    """A rule of the user's own says so."""

    @property
    def is_grave(self) -> bool:
        """Whether it would hold the run, exclude a device or take a checkpoint back."""
        return self.action in _GRAVE

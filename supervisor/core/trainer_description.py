"""What a trainer says of itself: its framework, where it saves, how many steps, which training."""

from dataclasses import dataclass

TrainingIdentity = tuple[str | None, int]
"""Output directory, and ordinal among the process's trainings with that directory."""


@dataclass(frozen=True, slots=True)
class TrainingSaid:
    """One training of the trainer's process; a process may train several times."""

    directory: str | None = None
    """Where its output goes."""
    ordinal: int = 1
    """Which training with that directory it is, in its process."""
    began: int = 0
    """Which training of its process it is."""
    has_ended: bool = False
    """It came to its own end, be it before the last step."""
    step: int | None = None

    @property
    def identity(self) -> TrainingIdentity:
        """Two attempts' trainings with the same identity are the same training."""
        return self.directory, self.ordinal


@dataclass(frozen=True, slots=True)
class TrainerDescription:
    """All that one attempt's trainer has said of itself so far. What it did not say is None."""

    framework: str | None = None
    """Name and version: `huggingface 5.24`."""
    directory: str | None = None
    """Where it saves checkpoints. A relative path: below the run directory."""
    total_steps: int | None = None
    best: str | None = None
    """The checkpoint that it calls its best; a relative path as in `directory`."""
    training: TrainingSaid | None = None
    """The training that it is in, or was in last."""
    resumed_from: str | None = None
    told: tuple[str, ...] = ()
    """Sentences for the user."""
    save_every: int | None = None
    """Steps between two of its saves; 0: it never saves."""
    save_every_s: float | None = None
    """Seconds between two of its saves."""
    not_restored: tuple[str, ...] = ()
    """What a resume from its checkpoints does not restore."""
    stop: str | None = None
    """Who sees to a stop: `saves` (the adapter), `script`."""

    @property
    def is_attached(self) -> bool:
        """Whether it says more than sentences: an adapter that is off writes only these."""
        facts = (self.framework, self.directory, self.total_steps, self.best, self.training)
        return any(fact is not None for fact in facts)

    @property
    def is_over(self) -> bool:
        """Whether its last training has come to its own end."""
        return self.training is not None and self.training.has_ended

    def steps_left(self, step: int | None) -> int | None:
        """How many steps the training still has at `step`; None where that is not known."""
        if self.total_steps is None or step is None:
            return None
        return max(self.total_steps - step, 0)


@dataclass(frozen=True, slots=True)
class Described:
    """The trainer's description of itself is new, or has changed."""

    attempt: int
    description: TrainerDescription
    instead_of: str | None = None
    """The configured checkpoint directory, if the trainer saves into another one."""
    has_attached: bool = False
    """Whether a heartbeat page of the attempt was seen, too."""

    @property
    def is_sign(self) -> bool:
        """Whether a loop says it that gives only signs of life: no adapter, and no page."""
        said = self.description
        facts = (said.training, said.total_steps, said.best)
        return not self.has_attached and all(fact is None for fact in facts)

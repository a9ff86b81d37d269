"""Entries about what a trainer says of itself."""

from dataclasses import dataclass

from supervisor.core.entries.entry import Entry
from supervisor.core.json_object import JsonObject, left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingNamed(JsonObject):
    """One training of the trainer's process."""

    directory: str | None = None
    ordinal: int = 1
    """Which training with that directory it is, in its process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerEntry(Entry):
    """What these entries have in common."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedEntry(TrainerEntry, kind="described"):
    """What the trainer [says of itself](checkpoints.md#a-directory-that-the-trainer-names)."""

    framework: str | None = None
    """Name and version of the library that trains, such as `huggingface 5.24`."""
    directory: str | None = None
    """Where it saves checkpoints. A relative path: below the run directory."""
    total_steps: int | None = None
    best: str | None = None
    """The checkpoint that it calls its best; a relative path as in `directory`."""
    training: TrainingNamed | None = None
    """The training that it began last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignDescribedEntry(TrainerEntry, kind="sign_described"):
    """What a loop that gives only [signs of life](trainers.md#any-other-loop) says of itself.

    It has a kind of its own, since a version that knows only `described` takes that for the word of
    a trainer that learns where to resume from.
    """

    framework: str | None = None
    """Name and version of the library that trains."""
    directory: str | None = None
    """Where it saves checkpoints. A relative path: below the run directory."""

    def as_described(self) -> DescribedEntry:
        """The same as an entry of a trainer that attaches."""
        return DescribedEntry(
            attempt=self.attempt, framework=self.framework, directory=self.directory
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignsEntry(TrainerEntry, kind="signs"):
    """A loop without adapter gave no sign of life for a minute or more, and then gave one."""

    longest_gap_s: float
    """The longest time between two signs that the run has shown."""
    longest_phase_s: float = 0.0
    """The longest save or load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSaveAwaitedEntry(TrainerEntry, kind="own_save_awaited"):
    """At a stop the trainer trains on to its own next save."""

    left_s: float | None = None
    """How much of the grace was left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerToldEntry(TrainerEntry, kind="trainer_told"):
    """A sentence of the trainer for the user, or about the trainer's directory."""

    sentence: str
    is_ours: bool = left_out(False)
    """True where the supervisor says it: `checkpoints.directory` is another directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryEntry(TrainerEntry, kind="recovery"):
    """What a kill would cost, and how a stop goes; once a run, and when it changes."""

    sentences: tuple[str, ...] = ()
    about: str = ""
    """What the sentences depend on. The same is not told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalHintEntry(TrainerEntry, kind="interval_hint"):
    """The time between saves is far from what would lose the least."""

    interval_s: float
    """As it is."""
    best_s: float
    save_s: float
    """How long a save takes."""
    failure_s: float
    """The time between failures that was reckoned with."""
    sentence: str

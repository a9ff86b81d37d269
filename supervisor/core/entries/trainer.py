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
class DescribedEntry(Entry, kind="described"):
    """What the trainer [says of itself](checkpoints.md#a-directory-that-the-trainer-names)."""

    attempt: int
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
class SignsEntry(Entry, kind="signs"):
    """A loop without adapter gave no sign of life for a minute or more, and then gave one."""

    attempt: int
    longest_gap_s: float
    """The longest time between two signs that the run has shown."""
    longest_phase_s: float = 0.0
    """The longest save or load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSaveAwaitedEntry(Entry, kind="own_save_awaited"):
    """At a stop the trainer trains on to its own next save."""

    attempt: int
    left_s: float | None = None
    """How much of the grace was left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerToldEntry(Entry, kind="trainer_told"):
    """A sentence of the trainer for the user, or about the trainer's directory."""

    attempt: int
    sentence: str
    is_ours: bool = left_out(False)
    """True where the supervisor says it: `checkpoints.directory` is another directory."""

"""Entries about checkpoints (the verdict on each, where it goes) and about saves that fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.core.entries.entry import Entry
from supervisor.core.json_object import KEY, LEFT_OUT, JsonObject, left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointVerdictEntry(Entry, kind="checkpoint"):
    """The verdict on a checkpoint."""

    path: str
    step: int | None = None
    epoch: int | None = None
    save_kind: str | None = field(default=None, metadata={KEY: "kind"})
    bytes: int | None = None
    valid: bool | None = None
    proof: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    own_run: bool = True
    names_best: str | None = None
    """The checkpoints that its own record calls the best: names with `/` between them."""
    progress: bool = False
    kept: bool = left_out(True)
    """False where the verdict is not to be remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRemovedEntry(Entry, kind="checkpoint_removed"):
    """A checkpoint is no longer there."""

    path: str
    why: str | None = None
    """`pruned`, `invalid`, `superseded`; `gone` where the trainer removed it."""
    reason: str | None = left_out(None)
    to: str | None = None
    """Where it was moved; null where nothing was, as with a snapshot in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSeenEntry(Entry, kind="checkpoint_seen"):
    """A checkpoint is too young for a verdict, and no other is on record."""

    path: str
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPlaceEntry(Entry, kind="checkpoint_place"):
    """The mount point that holds this run's checkpoints; written when it is another than before."""

    directory: str | None = None
    mount: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointerSetEntry(Entry, kind="pointer_set"):
    """A trainer's pointer named a checkpoint that was set aside, and was corrected."""

    path: str
    was: str | None = field(metadata={KEY: "from"})
    to: str | None = None
    """What it names now; null: the pointer itself was set aside, to `place`."""
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingBackEntry(Entry, kind="going_back"):
    """The run goes back."""

    step: int | None = None
    """The step that the run goes back to."""
    later: tuple[str, ...] = ()
    """The paths that are set aside next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEntry(Entry, kind="progress"):
    """Durable progress; budgets refill."""

    step: int | None = None
    """The highest of a validated checkpoint. May be null."""
    written: float | None = None
    """When the newest checkpoint without a step was written, seconds since 1970. May be null."""
    place: str | None = left_out(None)
    """The directory of that step, if the trainer named it: each stage counts from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAtSave(JsonObject):
    """What a source of steps showed as a checkpoint was written."""

    at: int
    """The step that it showed."""
    interval: int = 0
    """The steps since the save before."""
    pace_s: float | None = left_out(None)
    """Seconds a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveSeenEntry(Entry, kind="save_seen"):
    """The step that each source of steps showed when a checkpoint was written."""

    attempt: int | None = None
    path: str
    step: int | None = None
    sources: Mapping[str, SourceAtSave] = field(default_factory=dict)
    """Each source, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoInterval(JsonObject):
    """What a trainer has chosen its interval by, in `checkpoints: {interval: auto}`."""

    save_s: float | None = None
    """How long a save holds training up. Null: there was none yet."""
    failures: int = 0
    failure_s: float | None = None
    """The mean time to failure."""
    recovery_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveIntervalEntry(Entry, kind="save_interval"):
    """How often the trainer saves: the longest of its last intervals, when it has changed."""

    attempt: int | None = None
    interval_s: float
    """From the completion of one save to that of the next."""
    auto: AutoInterval | None = field(default=None, metadata={LEFT_OUT: True})
    """The trainer chose the interval by these (`checkpoints: {interval: auto}`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveFailedEntry(Entry, kind="save_failed"):
    """A save failed while training went on."""

    attempt: int | None = None
    line: str | None = None
    failed_at: float | None = None
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavesElsewhereEntry(Entry, kind="saves_elsewhere"):
    """The trainer saves where the supervisor does not look."""

    attempt: int | None = None
    directory: str | None = None
    names: tuple[str, ...] = ()
    step: int | None = None
    advice: str | None = None

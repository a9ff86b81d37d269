"""Entries of an attempt: how it starts, what it does, and how it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from supervisor.core.ending import Doubt
from supervisor.core.entries.entry import Entry
from supervisor.core.json_object import JsonObject
from supervisor.core.vocabulary import Action, Failure, StopSource, Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(JsonObject):
    """The checkpoint that an attempt was resumed from."""

    path: str
    step: int | None = None
    tier: Tier = Tier.DISK
    proof: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStartedEntry(Entry, kind="attempt_started"):
    """The main process runs. `launch`: `warm` or `cold`; `moments` are monotonic seconds."""

    attempt: int
    pid: int | None = None
    start_ticks: int | None = None
    command: tuple[str, ...] = ()
    checkpoint: Source | None = None
    resumes_by: str | None = None
    """`trainer` where the trainer finds its checkpoint itself."""
    log_offset: int | None = None
    log_inode: int | None = None
    launch: str | None = None
    why_cold: str | None = None
    moments: Mapping[str, float | None] = field(default_factory=dict)
    cgroup: str | None = None

    @property
    def is_warm(self) -> bool:
        """Whether the parked interpreter became it."""
        return self.launch == "warm"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailedEntry(Entry, kind="start_failed"):
    """Nothing was started; with `charged` it counts as a failure."""

    attempt: int
    reason: str | None = None
    failures: int | None = None
    repeats: int = 0
    signature: tuple[str, str | None, int | None] | None = None
    charged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStepEntry(Entry, kind="first_step"):
    """The first beat. `done_at`: monotonic seconds."""

    attempt: int | None = None
    step: int | None = None
    startup_s: float | None = None
    launch: str | None = None
    done_at: float | None = None

    @property
    def is_warm(self) -> bool:
        """Whether the parked interpreter had become the trainer."""
        return self.launch == "warm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedEntry(Entry, kind="parked"):
    """The next attempt's interpreter has imported what it needs."""

    seconds: float | None = None
    rss_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEndedEntry(Entry, kind="attempt_ended"):
    """How an attempt ended, what was made of it, and what it cost."""

    attempt: int | None = None
    code: int | None = None
    signal: int | None = None
    outcome: int | None = None
    """What the trainer said of its end."""
    failure: Failure | None = None
    action: Action | None = None
    reason: str | None = None
    exception: str | None = None
    frame: str | None = None
    step: int | None = None
    first_step: bool | None = None
    ended_training: bool | None = None
    """A failure after a first step and before the last."""
    attached: bool | None = None
    stop_requested: StopSource | None = None
    saved: bool | None = None
    failures: int | None = None
    repeats: int | None = None
    outages: int | None = None
    full_deaths: int | None = None
    signature: tuple[str, str | None, int | None] | None = None
    charged: bool = False
    idle_stops: int | None = None
    idle_progress: tuple[int | None, float | None] | None = None
    evidence: tuple[str, ...] = ()
    doubt: Doubt | None = None
    duration_s: float | None = None
    last_save_s: float | None = None
    loss: float | None = None

    def with_course(self, duration_s: float, last_save_s: float | None, loss: float | None) -> Self:
        """The same with what the daemon that saw the attempt knows of its course."""
        keys = (*(self.keys or ()), "duration_s", "last_save_s", "loss")
        return replace(self, duration_s=duration_s, last_save_s=last_save_s, loss=loss, keys=keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftProcess(JsonObject):
    """A process of an attempt that its launcher and daemon did not outlive."""

    pid: int
    comm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUnwatchedEntry(Entry, kind="attempt_unwatched"):
    """Launcher and daemon died. `how`: the attempt is `gone`, `ended`, `killed`, or `survives`."""

    attempt: int | None = None
    step: int | None = None
    found: tuple[LeftProcess, ...] = ()
    how: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftTrainingEntry(Entry, kind="left_training"):
    """The main process exited with 0, and something that it left trains on. `sign`: its proof."""

    attempt: int
    sign: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HungEntry(Entry, kind="hung"):
    """Written before an attempt is ended by us.

    Without its failure it was written by a daemon that ended nothing but hangs.
    """

    attempt: int | None = None
    reason: str
    failure: Failure | None = Failure.HANG
    """None where its own words or its log say how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedEntry(Entry, kind="looked"):
    """Past its deadline something moved, or nobody could tell."""

    attempt: int
    is_work: bool = False
    why: str
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RanksGoneEntry(Entry, kind="ranks_gone"):
    """All ranks have ended and the main process has not."""

    attempt: int | None = None
    ranks: str | None = None
    main: str | None = None
    ended_well: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsBeganEntry(Entry, kind="steps_began"):
    """Where the steps of an attempt from nothing began, by one source of steps."""

    attempt: int | None = None
    source: str
    step: int | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsWentBackEntry(Entry, kind="steps_went_back"):
    """A source's steps cannot be compared over attempts."""

    attempt: int | None = None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotResumedEntry(Entry, kind="not_resumed"):
    """Written before an attempt is killed that trains from nothing over checkpoints."""

    attempt: int | None = None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeDoubtedEntry(Entry, kind="resume_doubted"):
    """The attempt may not have resumed."""

    attempt: int | None = None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeSeenEntry(Entry, kind="resume_seen"):
    """Its steps go on from the checkpoint's."""

    attempt: int | None = None

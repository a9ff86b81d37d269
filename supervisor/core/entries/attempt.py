"""Entries of an attempt: how it starts, what it does, and how it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from supervisor.core.ending import Advice, Doubt
from supervisor.core.entries.entry import Entry
from supervisor.core.json_object import JsonObject, left_out
from supervisor.core.vocabulary import Action, Failure, StopSource, Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(JsonObject):
    """The checkpoint that an attempt was resumed from."""

    path: str
    step: int | None = None
    tier: Tier = Tier.DISK
    """`disk` or `memory`."""
    proof: str | None = None
    """How it was proven good; null: not on record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStartedEntry(Entry, kind="attempt_started"):
    """The main process runs."""

    attempt: int
    pid: int | None = None
    start_ticks: int | None = None
    command: tuple[str, ...] = ()
    checkpoint: Source | None = None
    """What it was resumed from; null: nothing."""
    resumes_by: str | None = None
    """`supervisor` or `trainer`."""
    log_offset: int | None = None
    """Where its lines begin in train.log."""
    log_inode: int | None = None
    """Which file that was, since rotation may rename it."""
    launch: str | None = None
    """`warm` or `cold`."""
    why_cold: str | None = None
    moments: Mapping[str, float | None] = field(default_factory=dict)
    """When each stage [of the launch](warm-launch.md#what-is-on-the-way-to-the-first-step) came."""
    cgroup: str | None = None
    """The folder of the attempt's own cgroup, where it has one."""

    @property
    def is_warm(self) -> bool:
        """Whether the parked interpreter became the main process."""
        return self.launch == "warm"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailedEntry(Entry, kind="start_failed"):
    """An attempt could not be started. If it was charged to the budgets, also what it cost."""

    attempt: int
    reason: str | None = None
    failures: int | None = None
    repeats: int = 0
    signature: tuple[str, str | None, int | None] | None = None
    charged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStepEntry(Entry, kind="first_step"):
    """The first step was done."""

    attempt: int | None = None
    step: int | None = None
    startup_s: float | None = None
    launch: str | None = None
    done_at: float | None = None
    """Seconds of CLOCK_MONOTONIC."""

    @property
    def is_warm(self) -> bool:
        """Whether the parked interpreter had become the trainer."""
        return self.launch == "warm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedEntry(Entry, kind="parked"):
    """The next attempt's interpreter has imported what it needs."""

    seconds: float | None = None
    """How long its imports took."""
    rss_bytes: int | None = None
    """Of the interpreter."""


COURSE = ("duration_s", "last_save_s", "loss", "step_s")
"""The keys of an attempt's end that only a daemon that saw the attempt can fill in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEndedEntry(Entry, kind="attempt_ended"):
    """How an attempt ended, what was made of it, and what it cost."""

    attempt: int | None = None
    code: int | None = None
    signal: int | None = None
    outcome: int | None = None
    """The code by which the trainer itself says how it ends."""
    failure: Failure | None = None
    action: Action | None = None
    reason: str | None = None
    exception: str | None = None
    frame: str | None = None
    step: int | None = None
    first_step: bool | None = None
    ended_training: bool | None = None
    """Whether the failure came after the first step and before the last; null without a failure."""
    attached: bool | None = None
    stop_requested: StopSource | None = None
    """By whom."""
    saved: bool | None = None
    """Null: not known."""
    failures: int | None = None
    """Since durable progress."""
    repeats: int | None = None
    outages: int | None = None
    """Since durable progress."""
    full_deaths: int | None = None
    """Deaths of a full disk since durable progress."""
    signature: tuple[str, str | None, int | None] | None = None
    charged: bool = False
    """Whether it was charged to the budgets."""
    idle_stops: int | None = None
    """How many jobs in a row ended without durable progress."""
    idle_progress: tuple[int | None, float | None] | None = None
    """The durable progress, step and time, at the last end of a job."""
    evidence: tuple[str, ...] = ()
    advice: Advice | None = None
    """What a person can do about the failure."""
    doubt: Doubt | None = None
    """Why an exit with 0 is not the end."""
    exit_rule: str | None = left_out(None)
    """What `restart.exit_codes` says of the end, if it says anything."""
    free_restarts: int = left_out(0)
    """Ends that it called free, since durable progress."""
    duration_s: float | None = None
    last_save_s: float | None = None
    loss: float | None = None
    step_s: float | None = left_out(None)
    """How long a step typically took, if it was seen for half a minute."""

    def with_course(
        self,
        duration_s: float,
        last_save_s: float | None,
        loss: float | None,
        step_s: float | None = None,
    ) -> Self:
        """The entry with the keys of COURSE, from the daemon that saw the attempt."""
        course = COURSE if step_s is not None else COURSE[:-1]
        keys = None if self.keys is None else (*self.keys, *course)
        return replace(
            self,
            duration_s=duration_s,
            last_save_s=last_save_s,
            loss=loss,
            step_s=step_s,
            keys=keys,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(JsonObject):
    """One difference between two attempts."""

    kind: str
    """`framework`, `python`, `driver`, `node`, `script`, `commit`, `config`, `command`,
    `step_time`, `variable`, `kernel`, `package`."""
    what: str
    """The name of a package, a file or a variable; else the kind."""
    before: str | None = None
    after: str | None = None
    edited_s: float | None = left_out(None)
    """Of a changed file: how long before the end it was edited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedEntry(Entry, kind="changed"):
    """What is different from the last good attempt, after an attempt died of a failure."""

    attempt: int
    since: int
    """The last attempt before it that made durable progress."""
    differences: tuple[Difference, ...] = ()
    """Ten at most, the likeliest causes first."""
    more: int = 0
    """How many others there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftProcess(JsonObject):
    """A process of an attempt that went on after its launcher and daemon had died."""

    pid: int
    comm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUnwatchedEntry(Entry, kind="attempt_unwatched"):
    """Launcher and daemon had died; the next daemon found the attempt over, or ended it."""

    attempt: int | None = None
    step: int | None = None
    """The highest that its heartbeats showed."""
    found: tuple[LeftProcess, ...] = ()
    """Its processes that were still alive."""
    how: str | None = None
    """`gone`, `ended`, `killed`, `survives`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftTrainingEntry(Entry, kind="left_training"):
    """The main process exited with 0, and something that it left trains on."""

    attempt: int
    sign: str | None = None
    """What showed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HungEntry(Entry, kind="hung"):
    """Written before the daemon ends an attempt that hangs, lingers, or has lost its ranks.

    Earlier versions wrote no `failure`: their daemons ended only attempts that hung.
    """

    attempt: int | None = None
    reason: str
    failure: Failure | None = Failure.HANG
    """`hang`. Null where it lingers (what it said of its end stands) or has lost its ranks (their
    deaths are judged)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedEntry(Entry, kind="looked"):
    """An attempt past its deadline goes on: it moved, or looks proved nothing. Once per attempt."""

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

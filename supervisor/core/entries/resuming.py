"""Entries about whether an attempt goes on from its checkpoint, as its steps show it."""

from dataclasses import dataclass

from supervisor.core.entries.entry import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsBeganEntry(Entry, kind="steps_began"):
    """The first step that a source showed of an attempt that began from nothing."""

    attempt: int | None = None
    source: str
    """Where they were read."""
    step: int | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsWentBackEntry(Entry, kind="steps_went_back"):
    """A source's steps went back within an attempt: this source cannot compare attempts."""

    attempt: int | None = None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotResumedEntry(Entry, kind="not_resumed"):
    """Written before an attempt is killed that begins anew although it was told to resume."""

    attempt: int | None = None
    reason: str
    """Why it is known to [begin anew](restart-policy.md#a-resume-that-did-not-happen)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeDoubtedEntry(Entry, kind="resume_doubted"):
    """The attempt may not have resumed."""

    attempt: int | None = None
    reason: str
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeSeenEntry(Entry, kind="resume_seen"):
    """The attempt's steps go on from the step of its checkpoint."""

    attempt: int | None = None

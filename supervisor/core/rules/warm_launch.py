"""The spare interpreter as decisions see it: when to have one, and whether to wait for it."""

from dataclasses import dataclass, replace
from enum import StrEnum

from supervisor.core.vocabulary import Action

# Long enough for the cause of its death (the kernel was short of memory) to be over.
AGAIN_S = 600.0
# A trainer whose steps nobody sees is taken to have begun after this long.
UNSEEN_BEGIN_S = 60.0
# With `launch: {mode: warm}` a launch waits at least so long for one that still imports.
INSISTING_S = 60.0


class LaunchMode(StrEnum):
    """What `launch.mode` asks for."""

    AUTO = "auto"
    WARM = "warm"
    COLD = "cold"


class ParkedStage(StrEnum):
    """How far a parked interpreter is."""

    ABSENT = "absent"
    IMPORTING = "importing"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Parked:
    """The parked interpreter, or why there is none."""

    stage: ParkedStage
    since: float = 0.0
    """When its start was ordered, monotonic seconds."""
    reason: str | None = None
    """Why there is none."""
    again_at: float | None = None
    """When to try again within the same attempt; None: not before the next."""


class WarmTrust(StrEnum):
    """Whether warm launches of this run are believed to be as good as cold ones."""

    TRUSTED = "trusted"
    DOUBTED = "doubted"
    """A warm launch failed before its first step. A cold one shows whether warmth was the cause."""
    BLAMED = "blamed"
    """The cold attempt made its steps: no launch is warm any more."""
    CLEARED = "cleared"
    """The cold attempt failed as well: warm launches go on, and their failures count."""


_WHY_COLD = {
    WarmTrust.DOUBTED: "the warm attempt before it failed before its first step",
    WarmTrust.BLAMED: "a warm attempt failed before its first step, and the cold one did not",
}


@dataclass(frozen=True, slots=True)
class LaunchTimes:
    """The last measured times, in seconds: start to first step, cold and warm, and parking."""

    cold_s: float | None = None
    warm_s: float | None = None
    park_s: float | None = None

    def with_start(self, seconds: float, *, warm: bool) -> "LaunchTimes":
        """The times with one more start."""
        return replace(self, warm_s=seconds) if warm else replace(self, cold_s=seconds)


@dataclass(frozen=True, slots=True)
class Launched:
    """How the last attempt was started. `why_cold` belongs to the last cold start."""

    is_warm: bool
    why_cold: str | None = None


def has_begun(*, first_step_seen: bool, attached: bool, step: int | None, ran_s: float) -> bool:
    """Whether an attempt came to its first step. Where none attaches, a minute's run counts."""
    return first_step_seen or (not attached and (step is not None or ran_s >= UNSEEN_BEGIN_S))


def tries_cold(trust: WarmTrust, launched: Launched | None, *, began: bool) -> bool:
    """Whether a warm attempt's end says nothing until a cold attempt has failed as well."""
    return trust is WarmTrust.TRUSTED and launched is not None and launched.is_warm and not began


def trust_after(
    trust: WarmTrust, action: Action | None, *, began: bool, was_asked: bool = False
) -> WarmTrust:
    """The trust after an attempt's end. An attempt asked to end before a step shows nothing."""
    if action is Action.RESTART_COLD:
        return WarmTrust.DOUBTED
    if trust is not WarmTrust.DOUBTED or (was_asked and not began):
        return trust
    return WarmTrust.BLAMED if began else WarmTrust.CLEARED


def trust_at_first_step(trust: WarmTrust) -> WarmTrust:
    """The trust after an attempt's first step. Attempts are cold while a warm one is doubted."""
    return WarmTrust.BLAMED if trust is WarmTrust.DOUBTED else trust


def is_wanted(
    parked: Parked | None, mode: LaunchMode, now: float, trust: WarmTrust = WarmTrust.TRUSTED
) -> bool:
    """Whether to order a spare interpreter, once the attempt has begun."""
    if mode is LaunchMode.COLD or trust in _WHY_COLD:
        return False
    if parked is None:
        return True
    return parked.again_at is not None and now >= parked.again_at


def why_cold(
    parked: Parked | None, mode: LaunchMode, trust: WarmTrust = WarmTrust.TRUSTED
) -> str | None:
    """Why the next launch cannot be warm, as far as that is known before."""
    if mode is LaunchMode.COLD:
        return "launch.mode is cold"
    if trust in _WHY_COLD:
        return _WHY_COLD[trust]
    if parked is not None and parked.stage is ParkedStage.ABSENT:
        return parked.reason
    return None


def patience_s(parked: Parked | None, mode: LaunchMode, times: LaunchTimes, now: float) -> float:
    """How long a launch waits for a spare interpreter that still imports, in seconds.

    It waits only if that is expected to be quicker than a cold start. It waits no longer than the
    time that a warm start would win: at the worst a launch takes twice as long.
    """
    if parked is None or parked.stage is not ParkedStage.IMPORTING:
        return 0.0
    at_least = INSISTING_S if mode is LaunchMode.WARM else 0.0
    if times.cold_s is None:
        return at_least
    # Parking was never measured: all of a cold start may be imports.
    takes_s = times.cold_s if times.park_s is None else times.park_s
    then_s = 0.0 if times.warm_s is None else times.warm_s
    left_s = max(takes_s - (now - parked.since), 0.0)
    won_s = times.cold_s - then_s
    return max(at_least, won_s if left_s < won_s else 0.0)

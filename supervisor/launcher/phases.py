"""An attempt's life as the launcher sees it, as a table. It starts and signals nothing.

`Attempt` obeys it, and the model check (tests/model) explores it with everybody's crashes.
"""

from __future__ import annotations

from enum import Enum


class AttemptPhase(Enum):
    """How far an attempt has come."""

    CLEARING = "clearing"
    """It was asked for, and nothing of it runs: leftovers of others are being ended first, then the
    parked interpreter is asked."""
    RUNNING = "running"
    ENDING = "ending"
    """The main process is reaped, its status known; others of the attempt may live."""
    OVER = "over"


class Happening(Enum):
    """What moves an attempt on."""

    SPAWNED = "spawned"
    """A main process is there: a new one, or the parked interpreter has become it."""
    NO_START = "no start"
    """Nothing could be started, leftovers cannot be killed, or exec failed."""
    CALLED_OFF = "called off"
    """A stop, a kill, or the end of the daemon that asked, before anything ran."""
    MAIN_ENDED = "main ended"
    ALL_GONE = "all gone"


# From a phase by a happening to the next phase, with the message that tells the daemon of it. What
# "exited" says is kept for the next daemon until a launch is asked for: no end is lost.
PHASES: dict[tuple[AttemptPhase, Happening], tuple[AttemptPhase, str | None]] = {
    (AttemptPhase.CLEARING, Happening.SPAWNED): (AttemptPhase.RUNNING, None),
    (AttemptPhase.CLEARING, Happening.NO_START): (AttemptPhase.OVER, "start_failed"),
    (AttemptPhase.CLEARING, Happening.CALLED_OFF): (AttemptPhase.OVER, "start_failed"),
    (AttemptPhase.RUNNING, Happening.NO_START): (AttemptPhase.OVER, "start_failed"),
    # "main_exited" follows, unless all of it is gone by then.
    (AttemptPhase.RUNNING, Happening.MAIN_ENDED): (AttemptPhase.ENDING, None),
    (AttemptPhase.ENDING, Happening.ALL_GONE): (AttemptPhase.OVER, "exited"),
}


class IllegalPhaseError(Exception):
    """The table has no such row: a fault in the launcher; nothing happened."""


def after(phase: AttemptPhase, happening: Happening) -> AttemptPhase:
    """Return the next phase. Raises IllegalPhaseError."""
    row = PHASES.get((phase, happening))
    if row is None:
        raise IllegalPhaseError(f"{phase.value} × {happening.value}")
    return row[0]


def told(phase: AttemptPhase, happening: Happening) -> str | None:
    """Return the kind of message by which the daemon is told of it, None for none."""
    return PHASES[(phase, happening)][1]

"""An attempt's life as the launcher sees it, as a table. It starts and signals nothing.

`Attempt` obeys the table. The model check (tests/model) explores it with a crash at any step.
"""

from __future__ import annotations

from enum import Enum


class AttemptPhase(Enum):
    """How far an attempt has come."""

    CLEARING = "clearing"
    """The daemon ordered it, and nothing of it runs. First the launcher ends leftovers of other
    attempts, then it asks the parked interpreter."""
    RUNNING = "running"
    ENDING = "ending"
    """The main process is reaped; other processes of the attempt may live."""
    OVER = "over"


class Happening(Enum):
    """What moves an attempt on."""

    SPAWNED = "spawned"
    """There is a main process: a new one, or the parked interpreter has become it."""
    NO_START = "no start"
    """Nothing could be started, leftovers cannot be killed, or exec failed."""
    CALLED_OFF = "called off"
    """Before anything ran, a stop or a kill came, or the daemon that ordered the launch ended."""
    MAIN_ENDED = "main ended"
    ALL_GONE = "all gone"


# From a phase by a happening to the next phase, with the kind of report that tells the daemon of
# it. The launcher keeps the "exited" report for the next daemon until the next launch order, so
# that no end is lost.
PHASES: dict[tuple[AttemptPhase, Happening], tuple[AttemptPhase, str | None]] = {
    (AttemptPhase.CLEARING, Happening.SPAWNED): (AttemptPhase.RUNNING, None),
    (AttemptPhase.CLEARING, Happening.NO_START): (AttemptPhase.OVER, "start_failed"),
    (AttemptPhase.CLEARING, Happening.CALLED_OFF): (AttemptPhase.OVER, "start_failed"),
    (AttemptPhase.RUNNING, Happening.NO_START): (AttemptPhase.OVER, "start_failed"),
    # The report "main_exited" follows, unless no process of the attempt lives by then.
    (AttemptPhase.RUNNING, Happening.MAIN_ENDED): (AttemptPhase.ENDING, None),
    (AttemptPhase.ENDING, Happening.ALL_GONE): (AttemptPhase.OVER, "exited"),
}


class IllegalPhaseError(Exception):
    """The table has no such row. It is a fault in the launcher, and nothing happened."""


def after(phase: AttemptPhase, happening: Happening) -> AttemptPhase:
    """Return the next phase. Raises IllegalPhaseError."""
    row = PHASES.get((phase, happening))
    if row is None:
        raise IllegalPhaseError(f"{phase.value} × {happening.value}")
    return row[0]


def told(phase: AttemptPhase, happening: Happening) -> str | None:
    """Return the kind of report that tells the daemon of it, None for none. Raises KeyError."""
    return PHASES[(phase, happening)][1]

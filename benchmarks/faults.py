"""What the soak does to a run: which faults there are, and in which order a seed brings them."""

import random
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """One thing that happens to a run."""

    KILL_TRAINER = "kill trainer"
    KILL_DAEMON = "kill daemon"
    KILL_LAUNCHER = "kill launcher"
    KILL_BOTH = "kill launcher and daemon"
    KILL_PERSISTER = "kill persister"
    FREEZE_TRAINER = "freeze trainer"
    FREEZE_DAEMON = "freeze daemon"
    FREEZE_LAUNCHER = "freeze launcher"
    FREEZE_PERSISTER = "freeze persister"
    TRUNCATE = "truncate newest checkpoint"
    FLIP = "flip a bit of newest checkpoint"
    STOP = "stop, resume"
    HOLD = "hold, resume"
    RELOAD = "reload"
    TERMINATE = "SIGTERM to launcher"


# Killing the trainer is what happens most; the rest by turns.
_WEIGHTS = {Fault.KILL_TRAINER: 6, Fault.KILL_DAEMON: 3, Fault.KILL_LAUNCHER: 2}


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault, so many seconds after the one before; `draw` in 0 … 1 decides its details."""

    fault: Fault
    after_s: float
    draw: float


def plan(seed: int, round_number: int, count: int) -> list[Planned]:
    """The faults of one round; the same seed and round bring the same."""
    chance = random.Random(f"{seed}:{round_number}")
    faults = list(Fault)
    weights = [_WEIGHTS.get(fault, 1) for fault in faults]
    chosen = chance.choices(faults, weights, k=count)
    # Often in quick succession: faults that meet the recovery from the one before.
    return [
        Planned(fault, chance.choice((0.02, 0.5, 2.0)) * chance.random(), chance.random())
        for fault in chosen
    ]

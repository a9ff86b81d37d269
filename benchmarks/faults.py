"""The faults that the soak brings to a run, and the order in which a seed brings them."""

import random
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """One fault or command that hits a run."""

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


# A dead trainer is the most frequent fault, so killing it has the greatest weight.
_WEIGHTS = {Fault.KILL_TRAINER: 6, Fault.KILL_DAEMON: 3, Fault.KILL_LAUNCHER: 2}


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault, `after_s` seconds after the previous one; `draw` in 0 … 1 decides its details."""

    fault: Fault
    after_s: float
    draw: float


def plan(seed: int, round_number: int, count: int) -> list[Planned]:
    """The faults of one round; the same seed and round give the same faults."""
    chance = random.Random(f"{seed}:{round_number}")
    faults = list(Fault)
    weights = [_WEIGHTS.get(fault, 1) for fault in faults]
    chosen = chance.choices(faults, weights, k=count)
    # Delays are often short, so that a fault meets the recovery from the previous one.
    return [
        Planned(fault, chance.choice((0.02, 0.5, 2.0)) * chance.random(), chance.random())
        for fault in chosen
    ]

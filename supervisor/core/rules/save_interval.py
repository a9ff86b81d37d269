"""How often to save: the interval between saves that loses the least time to failures.

Pure. The formula is that of arXiv 2410.18124, which counts the recovery after a failure; Daly's
(2006) is its check. A run that has failed seldom is judged by what clusters measured.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

DAY_S = 86_400.0
NODE_MTTF_S = 47.7 * DAY_S
"""Mean time between failures of a training on one node of 8 GPUs, as Meta measured on two of its
clusters (arXiv 2410.21680). Llama 3 had less: 419 unexpected interruptions in 54 days of 2,048
nodes are one in 264 days of a node (arXiv 2407.21783)."""
PRIOR_WEIGHT_S = DAY_S
"""The measured time counts as much as this much time of the run itself."""
FAR = 3.0
"""An interval is far from the best one if it is so many times longer or shorter."""
LEAST_GAIN = 0.001
"""A better interval is worth a word if it saves this share of the time."""
RECOVERY_S = 60.0
"""From a failure to the first new step, where the run has not shown it yet."""
LEAST_S, LONGEST_S = 60.0, 4 * 3600.0
"""The bounds of an interval that is found by itself: a minute, and six saves a day."""
GROWTH = 2.0
"""It becomes at most so many times longer at once: the first cost of a save may be an unusual one.
"""
DISK_SHARE = 0.25
"""A save is on its way to the disk for at most this share of the time."""
SAVE_MOST_S = 1e6
"""A save that is said to hold training up for longer counts as this long: eleven days."""
# Numbers of files that any process may have written, far beyond what a run can have.
_MOST_S = 1e12
_MOST = 1e9
_MTTF_LEAST_S = 1e-3


def within(value: float, most: float, least: float = 0.0) -> float:
    """The number within bounds. What is no number is the least: ledger and trainer may say so."""
    # In this order a NaN loses both comparisons.
    return min(most, max(least, value))


def mean_time_to_failure_s(failures: int, watched_s: float, nodes: int = 1) -> float:
    """Seconds between two failures: the run's own, and as long as it is short, those of clusters.

    `watched_s`: how long the run has trained. Each node may fail by itself.
    """
    prior_rate = within(nodes, _MOST, least=1.0) / NODE_MTTF_S
    weighed = within(failures, _MOST) + PRIOR_WEIGHT_S * prior_rate
    return (PRIOR_WEIGHT_S + within(watched_s, _MOST_S)) / weighed


def best_interval_s(save_s: float, mttf_s: float, recovery_s: float) -> float:
    """Seconds from the begin of a save to that of the next which lose the least time.

    `save_s`: how long training stands still in a save. `recovery_s`: from a failure to the first
    new step. T = Ts + √(2 (Tf + Tr) Ts + Ts²) (arXiv 2410.18124). Numbers that cannot be count as
    the nearest that can.
    """
    save_s, recovery_s = within(save_s, SAVE_MOST_S), within(recovery_s, DAY_S)
    mttf_s = _sane_mttf_s(mttf_s)
    return save_s + math.sqrt(2 * (mttf_s + recovery_s) * save_s + save_s**2)


def chosen_interval_s(
    best_s: float, min_s: float, max_s: float, *, before_s: float | None, disk_s: float = 0.0
) -> float:
    """The best interval within bounds, once a save came after one of `before_s`.

    `disk_s`: how long the disk takes for a save. The next one would have to wait for it.
    """
    least_s = min(max(min_s, disk_s / DISK_SHARE), max_s)
    most_s = max_s if before_s is None else max(min(max_s, GROWTH * before_s), least_s)
    return min(max(best_s, least_s), most_s)


def usual_s(times: Iterable[float]) -> float:
    """The usual one of some times, the oldest first: the median, of two middle ones the shorter.

    One slow moment of the disk among a few saves changes nothing. Of an odd number the oldest is
    left out: if every second save were slow, the median would jump with each.
    """
    known = list(times)
    recent = sorted(known[len(known) % 2 :] or known)
    return recent[(len(recent) - 1) // 2]


def daly_interval_s(save_s: float, mttf_s: float) -> float:
    """Daly's interval (2006), without the save: τ = √(2δM)·[1 + ⅓√(δ/2M) + ⅑(δ/2M)] − δ, else M."""
    if save_s >= 2 * mttf_s:
        return mttf_s
    ratio = save_s / (2 * mttf_s)
    return math.sqrt(2 * save_s * mttf_s) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - save_s


def lost_share(interval_s: float, save_s: float, mttf_s: float) -> float:
    """The share of time that saves and repeated steps take; half an interval for each failure.

    The recovery itself costs the same at any interval, and is left out. 1: all of it.
    """
    if not interval_s > 0:
        return 1.0
    save_s, mttf_s = within(save_s, SAVE_MOST_S), _sane_mttf_s(mttf_s)
    return min(save_s / interval_s + interval_s / 2 / mttf_s, 1.0)


@dataclass(frozen=True, slots=True)
class SaveAdvice:
    """A better interval than the present one."""

    interval_s: float
    """The present one."""
    best_s: float
    best_steps: int | None
    """The same in steps, rounded; None where the time of a step is not known."""
    share: float
    """What the better one loses, as a share of what the present one loses."""


def save_advice(
    interval_s: float, save_s: float, mttf_s: float, recovery_s: float, step_s: float | None
) -> SaveAdvice | None:
    """A better interval, if the present one is far from it and it is worth a word."""
    if not (interval_s > 0 and save_s > 0):
        return None
    best_s = best_interval_s(save_s, mttf_s, recovery_s)
    steps = best_steps(best_s, step_s)
    if steps is not None and step_s is not None:
        best_s = steps * step_s
    if 1 / FAR <= interval_s / best_s <= FAR:
        return None
    now, then = (lost_share(one, save_s, mttf_s) for one in (interval_s, best_s))
    if now - then < LEAST_GAIN:
        return None
    return SaveAdvice(interval_s, best_s, steps, then / now)


def best_steps(best_s: float, step_s: float | None) -> int | None:
    """The interval in steps, rounded; None where the time of a step is not known."""
    if step_s is None or not step_s > 0:
        return None
    return max(_rounded(within(best_s / step_s, _MOST_S)), 1)


def _sane_mttf_s(mttf_s: float) -> float:
    return within(mttf_s, _MOST_S, least=_MTTF_LEAST_S)


def _rounded(number: float) -> int:
    """A whole number with two digits that say something: 1234 is 1200."""
    if number < 1:
        return 1
    unit = 10 ** max(math.floor(math.log10(number)) - 1, 0)
    return int(round(number / unit) * unit)

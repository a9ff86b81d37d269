"""When a save is due: every N steps, or by the time between saves that loses the least."""

import json
import os
from collections import deque

from supervisor.core.json_form import from_json
from supervisor.core.rules.save_interval import (
    DISK_SHARE,
    GROWTH,
    best_interval_s,
    chosen_interval_s,
    usual_s,
    within,
)
from supervisor.core.save_terms import SAVE_TERMS, SavesTold, SaveTerms
from supervisor.torch.outcome import Saved

# The usual one of so many counts: one slow moment of the disk must not change the interval.
_SAVES = 8
_STEPS = 9
_AHEAD_MOST = 100
NEVER = 1 << 30


class SavePace:
    """It is told of steps and of what saves cost; times in seconds of any monotonic clock."""

    def __init__(self, steps: int | str, terms: SaveTerms | None = None, nodes: int = 1) -> None:
        """With `terms` the interval is found by itself, whatever `steps` says. Raises ValueError.

        `nodes`: how many machines train.
        """
        is_number = isinstance(steps, int) and not isinstance(steps, bool) and steps >= 0
        if steps != "auto" and not is_number:
            raise ValueError(f"save_steps is {steps!r}: give 'auto', a number of steps, or 0")
        self._steps = 0 if isinstance(steps, str) else steps
        self.is_auto = terms is not None or steps == "auto"
        self._terms = terms = (terms or SaveTerms()).sane()
        self._nodes = nodes
        known = [] if terms.save_s is None else [terms.save_s]
        self._stalls: deque[float] = deque(known, maxlen=_SAVES)
        self._waited: deque[float] = deque(known, maxlen=_SAVES)
        self._is_unwaited = False
        self._disk: deque[float] = deque(maxlen=_SAVES)
        self._step_times: deque[float] = deque(maxlen=_STEPS)
        self._began: float | None = None
        self._since = 0.0
        self._asked = 0.0
        self._newest = 0.0
        self._held_s = 0.0
        self._failed = 0
        self.interval_s = terms.min_s
        """From the begin of one save to that of the next; only `auto` counts by it."""
        if known:
            # No save has come since it was chosen: a launch must not make it longer.
            self.interval_s = self._chosen(0.0, (terms.interval_s or terms.min_s) / GROWTH)

    def is_due(self, step: int, now: float) -> bool:
        """Whether to save after this step; ask once a step."""
        if not self.is_auto:
            return self._steps > 0 and step % self._steps == 0
        if self._began is None:
            self._began = self._since = self._asked = now
            return False
        self._step_times.append(now - self._asked)
        self._asked = now
        # due after this step, if it is nearer to the time than the next step is
        return now - self._since + usual_s(self._step_times) / 2 >= self.interval_s

    def steps_ahead(self, step: int, *, is_due: bool) -> int:
        """After how many steps to look again. Up to then no save comes, whatever the pace does.

        It is half of the way to the next save, so that a pace that changes is noticed in time, and
        not far: a save may fail, and the first steps may be much quicker than the others.
        """
        if not self.is_auto:
            return self._steps - step % self._steps if self._steps else NEVER
        if not self._step_times or (step_s := usual_s(self._step_times)) <= 0:
            return 1
        left_s = self.interval_s if is_due else self.interval_s - (self._asked - self._since)
        ahead_s = min(left_s / 2, self._terms.min_s)
        return int(within(ahead_s / step_s, _AHEAD_MOST, least=1))

    def taken(
        self, began: float, now: float, stall_s: float | None, *, is_waited: bool = False
    ) -> None:
        """Note that a save began then, and held training up so long; None: it has failed.

        `is_waited`: the caller waited for the disk. That counts where no save goes without it.
        """
        self._since = self._newest = began
        self._held_s = now - began
        if stall_s is None:
            return
        (self._waited if is_waited else self._stalls).append(stall_s)
        self._is_unwaited = self._is_unwaited or not is_waited
        self.interval_s = self._chosen(now, self.interval_s)

    def ended(self, saved: Saved, now: float) -> None:
        """Note how a save ended. After one that failed the next comes soon, at first."""
        if saved.ok:
            self._disk.append(saved.seconds)
            # The save has made it longer already: only what the disk needs can do so here.
            self.interval_s = self._chosen(now, self.interval_s / GROWTH)
            self._failed = 0
        elif saved.outcome == "failed":
            self._failed += 1
            self._since = (
                now + self._wait_s(max(saved.seconds, now - self._newest)) - self.interval_s
            )

    def _wait_s(self, failed_s: float) -> float:
        """How long to wait after some failed saves in a row, the last of which took so long."""
        terms = self._terms
        wait_s = max(terms.min_s * 2.0 ** min(self._failed, 30), failed_s / DISK_SHARE)
        # The interval is long enough, unless training stood still for the save.
        return min(wait_s, max(self.interval_s, self._held_s / DISK_SHARE), terms.max_s)

    def told(self, *, is_asked: bool) -> SavesTold:
        """What the supervisor is told; `is_asked`: the loop goes by `is_due`."""
        number = os.environ.get("SUPERVISOR_ATTEMPT", "")
        is_auto = self.is_auto and is_asked
        return SavesTold(
            attempt=int(number) if number.isdecimal() else None,
            auto=is_auto,
            asks=is_asked,
            interval_s=round(self.interval_s, 3) if is_auto else None,
            save_s=round(usual_s(self._costs), 5) if self._costs else None,
            nodes=self._nodes,
        )

    @property
    def _costs(self) -> deque[float]:
        return self._stalls if self._is_unwaited else self._waited

    def _chosen(self, now: float, before_s: float) -> float:
        terms = self._terms
        mttf_s = terms.mttf_s(0.0 if self._began is None else now - self._began, self._nodes)
        save_s = usual_s(self._costs) if self._costs else 0.0
        best_s = best_interval_s(save_s, mttf_s, terms.recovery_s)
        disk_s = usual_s(self._disk) if self._disk else 0.0
        return chosen_interval_s(best_s, terms.min_s, terms.max_s, before_s=before_s, disk_s=disk_s)


def terms_given() -> SaveTerms | None:
    """What the supervisor wants (`checkpoints: {interval: auto}`); None: the loop's own number."""
    text = os.environ.get(SAVE_TERMS)
    if not text:
        return None
    try:
        given = from_json(SaveTerms, json.loads(text))
    except (ValueError, RecursionError):
        given = None
    # One that cannot be read is of another version, which wants the same.
    return SaveTerms() if given is None else given


def ranks() -> int:
    """How many processes train, as torchrun and its like say."""
    return _count("WORLD_SIZE") or 1


def nodes_here() -> int:
    """How many machines train, as torchrun and its like say."""
    here = _count("LOCAL_WORLD_SIZE")
    return -(-ranks() // here) if here else 1


def _count(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0

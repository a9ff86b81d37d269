"""When which occasion is told: wanted ones, not too often, the urgent ones at once."""

from collections.abc import Collection
from dataclasses import dataclass, field

from supervisor.notify.occasions import Occasion

URGENT = frozenset({"held", "finished"})
# A run that ends sooner was watched, most likely.
YOUNG_S = 300.0
# Of a run that fails again and again only so many are kept for the next message.
_WAITING_MAX = 100


@dataclass(slots=True)
class Outbox:
    """The occasions that wait; times in seconds since 1970."""

    events: Collection[str]
    not_more_than_s: float
    told: set[str] = field(default_factory=set)
    """The keys of what was told, by earlier daemons too."""
    in_flight: set[str] = field(default_factory=set)
    """The keys of what an earlier daemon may have told: they wait until that is known."""
    last_sent: float | None = None
    waiting: list[Occasion] = field(default_factory=list)

    def put(self, occasion: Occasion, *, began: float | None) -> None:
        """Take in an occasion; `began`: when the run's first attempt started."""
        if occasion.key in self.told or occasion.event not in self.events:
            return
        # A clock that was set back must not make a run young for days.
        is_young = began is None or 0 <= occasion.wall - began < YOUNG_S
        if is_young and occasion.event != "held":
            return
        if occasion.event == "recovered" and not self._is_known(occasion.after):
            return
        self.waiting = [*self.waiting, occasion][-_WAITING_MAX:]

    def _is_known(self, keys: Collection[str]) -> bool:
        return any(key in self.told or key in {one.key for one in self.waiting} for key in keys)

    def due(self, wall: float, *, is_last: bool = False) -> list[Occasion]:
        """Take out what one message is to tell now; empty: nothing yet.

        `is_last`: the supervisor ends, and nobody would tell later what waits now.
        """
        self.waiting = [one for one in self.waiting if one.key not in self.told]
        ready = [one for one in self.waiting if is_last or one.key not in self.in_flight]
        if not ready:
            return []
        is_urgent = is_last or any(one.event in URGENT for one in ready)
        since = None if self.last_sent is None else wall - self.last_sent
        # A clock that was set back must not silence the run.
        if not is_urgent and since is not None and 0 <= since < self.not_more_than_s:
            return []
        # The urgent one last: a message is about its last occasion.
        taken = sorted(ready, key=lambda one: one.event in URGENT)
        self.waiting, self.last_sent = [one for one in self.waiting if one not in ready], wall
        self.told |= {one.key for one in taken}
        return taken

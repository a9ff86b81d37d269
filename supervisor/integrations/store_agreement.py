"""The place at which all ranks of several nodes leave a training, agreed in torch's own store.

A thread of each rank looks once a second whether a stop was asked for; then a round begins. Each
rank says where it is, one rank proposes a place ahead of all, and each rank that has not passed the
place yet says so. The first verdict in the store counts for all: "go" once all ranks have said so.
A rank that comes to the place before waits for the verdict, and decides against it after a second.
"""

from __future__ import annotations

import atexit
import math
import threading
from time import monotonic

from .node_agreement import A_MISSING, A_SCRIPTS, PLACE_BITS, PLACE_MASK, is_reached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .world_store import WorldStore

_LOOKS_S = 1.0
# While a stop is under way, which is at most the grace.
_ROUND_LOOKS_S = 0.1
_GONE_ON_S = 5.0
# A rank without an adapter never says where it is.
_MISSING_S = 10.0
_ROUND_S = 30.0
_MOST_ROUNDS = 8
_MOST_MARGIN = 256
_ACKNOWLEDGED_S = 1.0
# Only a store whose host has stopped takes so long.
_VERDICT_S = 10.0
_EVERYONE_S = 60.0
# A look takes milliseconds, on a busy machine seconds. If one is under way as Python ends, C++
# makes an abort of it (supervisor/torch/background.py).
_CLOSED_S = 10.0
_GO, _AGAIN, _REFUSED = "go", "again", "refused: "


class StoreAgreement:
    """The agreement of one training's ranks; `look` waits only at the place that was proposed."""

    def __init__(self, store: WorldStore, *, takes: bool, tells: bool = True) -> None:
        """`takes`: this rank takes stops. `tells` False: it has no page, and never takes one."""
        self._store = store
        self._may_take, self._takes = tells, takes and tells
        self._place = 1
        self._looks = 0
        self._pace_hz = 0.0
        self._wish: tuple[bool, int] | None = None
        self._proposed = 0
        self._agreed: tuple[int, ...] = ()
        self._is_waited_for_since: float | None = None
        self._is_closed = False
        self.refusal: str | None = None
        """Why no rank takes a stop; None as long as that is not so."""
        self._wake, self._verdict = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="train-supervisor-ranks", daemon=True
        )
        self._thread.start()
        atexit.register(self.close)  # a thread in torch's code must not outlive the interpreter

    def look(self, place: int, *, asks: bool, is_inside: bool, takes: bool) -> bool:
        """Whether this rank leaves here. `asks`: it was asked to stop, and wants to leave soon.

        `takes` False: this rank leaves stops to the script. Then none of the ranks takes them.
        """
        self._takes = takes and self._may_take
        self._looks += 1
        # Before the proposal is read: the thread sets that first, and reads the place then.
        self._place = place
        if asks and self._is_new_wish(place, is_inside):
            self._wish = is_inside, place
            self._wake.set()
        proposed = self._proposed
        if proposed and place >= proposed:
            self._wait_for_verdict(proposed)
        return is_reached(place, self._agreed, is_inside=is_inside)

    def _is_new_wish(self, place: int, is_inside: bool) -> bool:
        if is_inside:
            here = place >> PLACE_BITS
            return not any(at & PLACE_MASK and at >> PLACE_BITS == here for at in self._agreed)
        return not self._agreed

    def _wait_for_verdict(self, proposed: int) -> None:
        self._verdict.clear()
        self._is_waited_for_since = monotonic()
        self._wake.set()
        is_known = self._proposed != proposed or self._verdict.wait(_VERDICT_S)
        self._is_waited_for_since = None
        if not is_known:
            self._refuse("torch's store does not answer")

    def is_everyone_here(self) -> bool:
        """Whether each rank's adapter has joined; sure once the ranks have met in a collective.

        The first rank's answer counts for all. A slow store is waited for, as the other ranks may
        wait for this one.
        """
        from .world_store import within

        store = self._store

        def decided() -> bool:
            is_so = store.count("here") >= store.world_size
            return store.decide("everyone", f"{is_so:d}") == "1"

        try:
            return bool(within(_EVERYONE_S, decided))
        except Exception:
            return False  # all ranks meet the same store

    def take_none(self) -> None:
        """Leave stops to the script from now on; other ranks that ask are told so."""
        self._may_take = self._takes = False

    def close(self) -> None:
        """End the looks."""
        self._is_closed = True
        self._wake.set()
        self._thread.join(_CLOSED_S)
        atexit.unregister(self.close)

    def _run(self) -> None:
        try:
            for number in range(_MOST_ROUNDS):
                self._wait_for_round(number)
                if self._is_closed or self._round(number):
                    return
            self._refuse("the ranks found no step that all of them reach")
        except Exception as error:
            self._refuse(f"torch's store fails: {type(error).__name__}: {str(error)[:200]}")
        finally:
            self._proposed = 0
            self._verdict.set()

    def _refuse(self, why: str) -> None:
        """Take no stop; where a place is agreed on, all ranks leave there at the latest."""
        if not self._agreed:
            self.refusal = why

    def _wait_for_round(self, number: int) -> None:
        asked = f"stop/{number}/asked"
        looks, since = self._looks, monotonic()
        fast_until = since + _GONE_ON_S if number else since
        while not self._is_closed:
            if self._wish is not None:
                self._store.set(asked, "1")
                return
            if self._store.has(asked):
                return
            now = monotonic()
            if now - since >= _LOOKS_S:
                self._pace_hz = (self._looks - looks) / (now - since)
                looks, since = self._looks, now
            self._wake.wait(_ROUND_LOOKS_S if now < fast_until else _LOOKS_S)
            self._wake.clear()

    def _round(self, number: int) -> bool:
        """Go through one round; whether it is the last one."""
        store, key = self._store, f"stop/{number}/"
        store.set(f"{key}at/{store.rank}", f"{self._place} {self._pace_hz:.3f} {self._takes:d}")
        proposes = self._wish is not None and store.count(f"{key}claim", 1) == 1
        begun = monotonic()
        while not self._is_closed:
            verdict = store.get(f"{key}verdict")
            if verdict is None:
                verdict = self._go_on(key, number, monotonic() - begun, proposes=proposes)
            if verdict is not None:
                return self._take(verdict)
            self._wake.wait(_ROUND_LOOKS_S)
            self._wake.clear()
        return True

    def _go_on(self, key: str, number: int, took_s: float, *, proposes: bool) -> str | None:
        """Do what this rank can do for a verdict; return it if it is there."""
        store = self._store
        if not self._proposed:
            found = store.get(f"{key}place")
            if found is None and proposes:
                return self._propose(key, number, took_s)
            if found is not None:
                self._proposed = int(found)
                if self._place >= self._proposed:
                    return store.decide(f"{key}verdict", _AGAIN)
                store.count(f"{key}ahead", 1)
        if self._proposed and store.count(f"{key}ahead") >= store.world_size:
            return store.decide(f"{key}verdict", _GO)
        since = self._is_waited_for_since
        if took_s > _ROUND_S or (since is not None and monotonic() - since > _ACKNOWLEDGED_S):
            return store.decide(f"{key}verdict", _AGAIN)
        return None

    def _propose(self, key: str, number: int, took_s: float) -> str | None:
        store = self._store
        keys = [f"{key}at/{rank}" for rank in range(store.world_size)]
        if not store.has(*keys):
            if took_s > _MISSING_S:
                return store.decide(f"{key}verdict", _REFUSED + A_MISSING)
            return None
        said = [(store.get(each) or "0 0 0").split() for each in keys]
        if any(takes == "0" for _, _, takes in said):
            return store.decide(f"{key}verdict", _REFUSED + A_SCRIPTS)
        # More than the looks that pass while all ranks learn of it; with each round more.
        margin = min(4**number, _MOST_MARGIN) + math.ceil(
            max(float(pace) for _, pace, _ in said) * (1 + number)
        )
        places = [int(place) for place, _, _ in said]
        is_inside, here = self._wish or (False, 0)
        boundary = max(places) >> PLACE_BITS
        if is_inside and boundary == here >> PLACE_BITS:
            store.set(f"{key}place", str(max(places) + margin))
        else:
            store.set(f"{key}place", str((boundary + margin) << PLACE_BITS))
        return None

    def _take(self, verdict: str) -> bool:
        if verdict == _GO:
            self._agreed = (*self._agreed, self._proposed)
            self._wish = None
        elif verdict.startswith(_REFUSED):
            self.refusal = verdict[len(_REFUSED) :]
        elif self._agreed:
            self._wish = None  # an evaluation that goes on asks again
        self._proposed = 0
        self._verdict.set()
        return self.refusal is not None

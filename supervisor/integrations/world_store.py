"""torch's own store, through which ranks of several nodes agree; and waiting for it with a limit.

A store whose host has stopped answers no call, and no call has a limit of time. So each of them is
made in a thread that nobody has to wait for. A clone has a connection of its own: a rank that waits
for a key in another thread does not hold up the looks.
"""

from __future__ import annotations

import sys
import threading
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PREFIX = "train_supervisor"
_OPENING_S = 10.0
_POLL_S = 0.05


class WorldStore:
    """The keys of one training in the default store of torch.distributed."""

    def __init__(self, store: Any, rank: int, world_size: int, name: str) -> None:
        """`store` is a clone: no other thread uses it."""
        self._store = store
        self._name = f"{PREFIX}/{name}"
        self.rank, self.world_size = rank, world_size

    def set(self, key: str, value: str) -> None:
        """Set a key."""
        self._store.set(f"{self._name}/{key}", value)

    def get(self, key: str) -> str | None:
        """Return what a key holds; None if it is not set. It never waits for a key."""
        name = f"{self._name}/{key}"
        return self._store.get(name).decode() if self._store.check([name]) else None

    def has(self, *keys: str) -> bool:
        """Whether all of the keys are set."""
        return bool(self._store.check([f"{self._name}/{key}" for key in keys]))

    def count(self, key: str, more: int = 0) -> int:
        """Add to a number, and return it."""
        return int(self._store.add(f"{self._name}/{key}", more))

    def decide(self, key: str, verdict: str) -> str:
        """Set a key if no rank has set it; return what it holds then. The first word counts."""
        return str(self._store.compare_set(f"{self._name}/{key}", "", verdict).decode())


def open_store(rank: int, world_size: int, name: str) -> WorldStore | str:
    """Return the store of a training, or why there is none. Never raises."""
    torch = sys.modules.get("torch.distributed")
    if torch is None or not torch.is_available() or not torch.is_initialized():
        return "torch.distributed is not initialized"
    if (torch.get_world_size(), torch.get_rank()) != (world_size, rank):
        return "the ranks are not in one world of torch.distributed"

    def opened() -> WorldStore:
        store = torch.distributed_c10d._get_default_store()
        # Older versions of torch have no clone; then no call here may wait for a key.
        store = store.clone() if hasattr(store, "clone") else store
        found = WorldStore(store, rank, world_size, name)
        found.count("here", 1)
        return found

    try:
        found = within(_OPENING_S, opened)
    except Exception as error:
        return f"torch's store fails: {type(error).__name__}: {str(error)[:200]}"
    return found or "torch's store does not answer"


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """Return what a call returns; None if it takes longer. Raises what it raises."""
    result: list[Any] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            result.append(call())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="train-supervisor-store", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    return result[0] if result else None


def poll(seconds: float, ask: Callable[[], Any]) -> Any:
    """Ask until there is an answer that is not None, or the time is over; then None."""
    until = monotonic() + seconds
    while (answer := ask()) is None and monotonic() < until:
        sleep(_POLL_S)
    return answer

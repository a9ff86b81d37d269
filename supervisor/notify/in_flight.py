"""Which messages were being sent when a daemon died, and what became of them.

The child that sends outlives its daemon. Both write to a file that the next daemon reads.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from supervisor.notify.delivery import DEADLINE_S


class MessagesInFlight:
    """A line for each message that is begun, and for each target that took it."""

    def __init__(self, path: Path, told: Iterable[str], now: float) -> None:
        """`told`: the keys of what is on record as told. `now`: of CLOCK_MONOTONIC."""
        self.path = path
        self.keys: set[str] = set()
        """What an earlier daemon may have told."""
        self._messages = {keys for keys, _ in self._lines() if not set(keys) & set(told)}
        self.keys.update(*self._messages)
        # After that a child of the earlier daemon has ended, whatever its targets did.
        self._until = now + DEADLINE_S + 1.0

    def begin(self, keys: tuple[str, ...]) -> None:
        """Note that a message is being sent, before it is."""
        with suppress(OSError), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"told": keys}) + "\n")

    def settled(self, now: float) -> list[tuple[tuple[str, ...], int]]:
        """Messages of which it is now known that they were told, each with how many took it."""
        if not self._messages:
            return []
        took: dict[tuple[str, ...], set[int]] = {}
        for keys, target in self._lines():
            if target is not None and keys in self._messages:
                took.setdefault(keys, set()).add(target)
        self._messages -= took.keys()
        if now >= self._until:
            self._messages.clear()
        self.keys.clear()
        self.keys.update(*self._messages)
        return [(keys, len(targets)) for keys, targets in took.items()]

    def _lines(self) -> list[tuple[tuple[str, ...], int | None]]:
        found: list[tuple[tuple[str, ...], int | None]] = []
        with suppress(OSError):
            for line in self.path.read_bytes().splitlines():
                with suppress(ValueError, TypeError, KeyError):
                    said = json.loads(line)
                    found.append((tuple(said["told"]), said.get("target")))
        return found

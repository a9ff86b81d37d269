"""Copies that run while training goes on, and whether the tensors that they read stayed the same.

The next optimizer step waits for the copies. If weights change in another way meanwhile, the
snapshot may hold only a part of the change, and no checksum would show it: it must not count.
"""

import threading
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Copying(Protocol):
    """Copies on a device's queues."""

    def hold(self) -> None:
        """Make the device's later work wait for them; the caller does not wait."""

    def wait(self) -> None:
        """Return when all bytes are there."""


class InFlight:
    """Copies, and the live tensors that they read.

    Every tensor counts the changes made in place to it and its views (torch, "In-place correctness
    checks"), by an optimizer, `copy_` or `load_state_dict` alike. Changes through `.data`, a
    collective, DLPack or a replayed CUDA graph are not counted.
    """

    def __init__(self, copying: Copying, live: Sequence[Tensor]) -> None:
        self._copying = copying
        self._live = [tensor for tensor in live if not tensor.is_inference()]
        self._versions = _versions(self._live)
        self._lock = threading.Lock()
        self._has_changed: bool | None = None

    def hold(self) -> None:
        """Note that an optimizer is about to step: from now on changes come after the copies."""
        self._look()
        self._copying.hold()

    def wait(self) -> bool:
        """Wait until all bytes are there; return whether they are of one moment."""
        self._copying.wait()
        return not self._look()

    def _look(self) -> bool:
        """Whether a tensor had changed at the first call; later calls only repeat that answer."""
        with self._lock:
            if self._has_changed is None:
                self._has_changed = _versions(self._live) != self._versions
                self._live = []
            return self._has_changed


def _versions(tensors: Sequence[Tensor]) -> list[int]:
    return [tensor._version for tensor in tensors]

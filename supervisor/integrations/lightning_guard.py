"""Keeps errors of the adapter for Lightning from the training."""

from __future__ import annotations

import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def tells(method: Any) -> Any:
    """Have an error of the adapter told, and the adapter turned off for this fit."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.is_off:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.is_off = True
            self.training.tell(
                f"the adapter for lightning is off from {method.__name__} on:"
                f" {type(error).__name__}: {error}"
            )
            self.training.take_no_stops()  # after the words, for it may end the process
            return None

    return guarded

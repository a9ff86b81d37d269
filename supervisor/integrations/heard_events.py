"""Events of a library that an adapter hears: only of a training that is supervised."""

from __future__ import annotations

import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Event = Callable[..., None]


def heard(event: Event) -> Event:
    """Call an event only while a training is supervised, and keep its errors from the training."""

    @functools.wraps(event)
    def call(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        stop = self._stop
        if stop is None:
            return
        try:
            event(self, stop, args, state, control, **kwargs)
        except Exception as error:
            if stop.is_saving:
                raise  # the library's own: the checkpoint cannot be saved
            self._give_up(error)

    return call

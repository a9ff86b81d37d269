"""A library's own functions that save and load a loop's state: phases and a place of its signs.

The functions save as they always do. If a stop waited for a save, the next step ends the process.
"""

from __future__ import annotations

import functools
import os

from ..worker.sign_layout import LOADING, SAVING
from . import hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .sign_of_life import SignOfLife

    Saved = Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], str | os.PathLike[str] | None]

_MARK = "_is_wrapped_by_train_supervisor"


class LibrarySaves:
    """The saves and loads of one library's class. `framework` returns its name and version."""

    def __init__(
        self,
        adapter: str,
        framework: Callable[[], str],
        saved: Saved,
        ranks: Callable[[Any], int],
    ) -> None:
        """`saved`: where a save lies, by its object, its result and its arguments.

        `ranks`: how many processes train together, by the object.
        """
        self._adapter = adapter
        self._framework = framework
        self._saved = saved
        self._ranks = ranks

    def wrap(self, owner: Any, save: str, load: str) -> None:
        """Wrap these methods of a class. Raises if it has none of its own with these names."""
        missing = [name for name in (save, load) if not callable(vars(owner).get(name))]
        if missing:
            names = " and ".join(f"{owner.__name__}.{name}" for name in missing)
            raise RuntimeError(f"{self._framework()} has no {names}")
        for name, phase in ((save, SAVING), (load, LOADING)):
            if not getattr(vars(owner)[name], _MARK, False):
                setattr(owner, name, self._wrapped(vars(owner)[name], phase))

    def _wrapped(self, function: Any, phase: int) -> Any:
        @functools.wraps(function)
        def told(own: Any, *args: Any, **kwargs: Any) -> Any:
            sign = self._entered(phase)
            if sign is None:
                return function(own, *args, **kwargs)
            try:
                result = function(own, *args, **kwargs)
            except BaseException as error:
                if error.__traceback__ is not None:
                    # No frame of this file in what the user reads.
                    error.__traceback__ = error.__traceback__.tb_next
                self._left(sign, is_saved=False)
                raise
            self._left(sign, is_saved=phase == SAVING)
            if phase == SAVING:
                self._after_save(sign, own, result, args, kwargs)
            return result

        setattr(told, _MARK, True)
        return told

    def _entered(self, phase: int) -> SignOfLife | None:
        try:
            from . import sign_of_life

            sign = sign_of_life.of_process()
            if sign is not None:
                sign.enter(phase)
                if not sign.is_described:
                    sign.describe(self._framework())
        except Exception as error:
            self._tell(error)
            return None
        return sign

    def _left(self, sign: SignOfLife, *, is_saved: bool) -> None:
        try:
            sign.leave(is_saved=is_saved)
        except Exception as error:
            self._tell(error)

    def _after_save(
        self, sign: SignOfLife, own: Any, result: Any, args: Any, kwargs: dict[str, Any]
    ) -> None:
        """Say where the checkpoint is, and have the process leave if a stop waited for it."""
        ranks = 1
        try:
            path = self._saved(own, result, args, kwargs)
            if path is not None:
                place = os.path.dirname(os.path.abspath(os.fspath(path)))
                sign.describe(self._framework(), checkpoint_dir=place)
            ranks = self._ranks(own)
        except Exception as error:
            self._tell(error)
            return
        if not sign.is_in_phase:
            sign.stop.leave_after_save(ranks)

    def _tell(self, error: Exception) -> None:
        hook.tell(f"the adapter for {self._adapter}: {type(error).__name__}: {error}")

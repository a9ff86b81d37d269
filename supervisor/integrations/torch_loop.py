"""Adapter for any torch loop: an optimizer step is a sign of life, and never a step or a total.

A step's number says nothing of progress: LBFGS, two optimizers and overflows count in other ways.
At torch's import one function is registered, and nothing is imported. The first optimizer step
brings in `sign_of_life`.
"""

import os
import sys

from . import hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

_OLDEST = (2, 2)
"""The first version in which a function can know that it is traced."""

torch: "Any" = None
_registered_by: "Any" = None
_is_followed = False


def patch(module: "ModuleType") -> None:
    """Register the function with `torch.optim.optimizer`. Raises if this version does not fit."""
    global torch, _registered_by
    if not os.environ.get("SUPERVISOR_HEARTBEAT"):
        return
    torch = sys.modules["torch"]
    register = getattr(module, "register_optimizer_step_post_hook", None)
    if register is None or _version() < _OLDEST:
        raise RuntimeError(f"torch {torch.__version__} cannot tell of its steps: 2.2 or newer does")
    if register is not _registered_by:  # a module that is reloaded has a new one
        register(after_step)
        _registered_by = register


def after_step(optimizer: "Any", args: "Any", kwargs: "Any") -> None:
    """Give the sign of life; torch calls it after each optimizer step. It looks at no argument.

    In code that torch.compile traces it is nothing at all: neither a graph nor a break more. It is
    never taken out, since torch goes through its functions while it calls them.
    """
    if torch.compiler.is_dynamo_compiling():
        return
    _sign()


def _begin() -> None:
    """At the first step: find out whether this process gives signs, and have imports recorded."""
    global _sign, _is_followed
    _sign = _nothing
    try:
        from . import sign_of_life

        if not _is_followed:
            _is_followed = True
            os.register_at_fork(after_in_child=_begin_anew)
        _sign = sign_of_life.at_first_step() or _nothing
    except Exception as error:
        hook.tell(f"the adapter for torch is off: {type(error).__name__}: {error}")


def _begin_anew() -> None:
    """In a forked child: if it trains, it gives signs of its own."""
    global _sign
    _sign = _begin


def _nothing() -> None:
    """Give no sign: not the supervisor's business, or another adapter's."""


def _version() -> "tuple[int, ...]":
    numbers = str(torch.__version__).split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())


_sign = _begin

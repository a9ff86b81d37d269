"""How counts are said, and that the operator holds a run."""

_HOLD = "`supervisor hold`"
HOLD_ASKED = f"{_HOLD} was asked for"
HELD_IDLE = f"held by {_HOLD}; `supervisor resume` lets it go on"


def is_operators_hold(reason: str | None) -> bool:
    """Whether the operator holds the run. Only the reason in `status.json` tells that.

    The intent may be `hold` although the run is held for another reason.
    """
    return _HOLD in (reason or "")


def counted(number: int, noun: str) -> str:
    """`1 failure`, `2 failures`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")

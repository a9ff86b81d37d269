"""How counts are said, and that the operator holds a run."""

_HOLD = "`supervisor hold`"
HOLD_ASKED = f"{_HOLD} was asked for"
HELD_IDLE = f"held by {_HOLD}; `supervisor resume` lets it go on"


def is_operators_hold(reason: str | None) -> bool:
    """Whether a run is held for its operator, by the reason in `status.json`: nothing else tells.

    The intent may be `hold` as well where the run is held for another reason.
    """
    return _HOLD in (reason or "")


def counted(number: int, noun: str) -> str:
    """`1 failure`, `2 failures`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")

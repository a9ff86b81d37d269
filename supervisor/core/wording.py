"""How counts and times are said, and that the operator holds a run."""

_HOLD = "`supervisor hold`"
SIGN_OF_LIFE = "sign of life"
"""Behind a library's name: only its steps are seen, and no adapter knows the loop."""
HOLD_ASKED = f"{_HOLD} was asked for"
HELD_IDLE = f"held by {_HOLD}; `supervisor resume` lets it go on"


def is_operators_hold(reason: str | None) -> bool:
    """Whether the operator holds the run. Only the reason in `status.json` tells that.

    The intent may be `hold` although the run is held for another reason.
    """
    return _HOLD in (reason or "")


def trainer_text(framework: str) -> str:
    """A trainer's library in a sentence: a loop of its own is `a PyTorch loop (torch 2.13.0)`."""
    library, _, sign = framework.partition(", ")
    if sign != SIGN_OF_LIFE:
        return framework
    loop = "a PyTorch loop" if library.startswith("torch ") else "a loop"
    return f"{loop} ({library})"


def clauses(text: str) -> list[str]:
    """The parts of a long sentence between semicolons; what stands in backquotes stays whole."""
    found: list[str] = []
    for part in text.split("; "):
        if found and found[-1].count("`") % 2:
            found[-1] = f"{found[-1]}; {part}"
        else:
            found.append(part)
    return found


def counted(number: int, noun: str) -> str:
    """`1 failure`, `2 failures`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def rough_time(seconds: float) -> str:
    """A time as far as a person needs it: `less than a second`, `40 s`, `52 min`, `3 h`, `12 d`."""
    for unit, size, until in (("s", 1, 90), ("min", 60, 5400), ("h", 3600, 172_800)):
        if seconds < until:
            return f"{seconds / size:.0f} {unit}" if seconds >= 1 else "less than a second"
    return f"{seconds / 86_400:.0f} d"

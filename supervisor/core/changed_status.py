"""The part of `status.json` that says what is different from the last good attempt."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DifferenceStatus:
    """One difference between two attempts."""

    kind: str
    """`framework`, `python`, `driver`, `node`, `script`, `commit`, `config`, `command`,
    `step_time`, `variable`, `kernel`, `package`."""
    what: str
    """The name of a package, a file or a variable; else the kind."""
    before: str | None = None
    """Null: it was not there."""
    after: str | None = None
    """Null: it is not there any more."""
    edited_s: float | None = None
    """Of a changed file: how long before the end it was edited."""


@dataclass(frozen=True, slots=True)
class ChangedStatus:
    """What is different between two attempts."""

    attempt: int
    """The attempt that died."""
    since: int
    """The last attempt before it that made durable progress."""
    differences: tuple[DifferenceStatus, ...] = ()
    """Ten at most, the likeliest causes first."""
    more: int = 0
    """How many others there are."""

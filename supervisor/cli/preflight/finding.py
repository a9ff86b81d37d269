"""One answer of the preflight, as a value."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer: what was looked at, how bad it is, a sentence, and what to do about it."""

    what: str
    level: Level
    text: str
    do: str | None = None

    def naming(self, config: str) -> "Finding":
        """The same with this configuration's path in the lines to type."""
        if self.do is None:
            return self
        return replace(
            self, do=self.do.replace("supervisor run CONFIG", f"supervisor run {config}")
        )

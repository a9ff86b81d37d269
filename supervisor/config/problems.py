"""What can be wrong with a configuration, and where; it must not know YAML or pydantic."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://).+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: its place (1-based), the dotted key, a sentence, and the nearest valid word."""

    line: int | None
    column: int | None
    key: str
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        """One line for a person."""
        place = f"line {self.line}:{self.column}  " if self.line is not None else ""
        key = f"{self.key}: " if self.key else ""
        meant = f" (did you mean {self.nearest!r}?)" if self.nearest else ""
        return f"{place}{key}{self.message}{meant}"


class ConfigError(SupervisorError):
    """A configuration that cannot be used; `problems` holds every problem, in file order."""

    def __init__(self, path: str, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        self.path = path
        self.problems = tuple(
            sorted(problems, key=lambda p: (p.line or 0, p.column or 0, p.key, p.message))
        )
        count = len(self.problems)
        if count == 1 and self.problems[0].line is None:
            text = f"{path}: {self.problems[0]}"
        else:
            noun = "problem" if count == 1 else "problems"
            text = "\n".join([f"{path} has {count} {noun}", *(f"  {p}" for p in self.problems)])
        super().__init__(
            text,
            hint=hint
            or "`supervisor schema` lists every key, and `supervisor init` writes an example",
            code=ExitCode.CONFIGURATION,
        )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or None."""
    names = {name.lower().replace("-", "_"): name for name in known}
    wanted = word.lower().replace("-", "_")
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.6)
    return names[close[0]] if close else None


def shown_key(key: str) -> str:
    """A key for a message. Of an address, which may hold a secret, only the scheme is left."""
    return _ADDRESS.sub(r"\1…", key)

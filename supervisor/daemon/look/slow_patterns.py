"""Warns of the user's regular expressions that take too long, each once in a daemon's life."""

from collections.abc import Iterator

from supervisor.daemon.look.progress import ProgressReader
from supervisor.daemon.look.surveyor import Surveyor
from supervisor.diagnosis.user_rules import UserRules

ADVICE = (
    r"write it without a repetition inside or beside another one, such as `(\w+\s?)*` or `.*.*`;"
    " `supervisor check` tries it"
)


class SlowPatterns:
    """Asked at each poll; gives the warnings that are new."""

    def __init__(
        self, progress: ProgressReader | None, surveyor: Surveyor, rules: UserRules
    ) -> None:
        self._progress = progress
        self._surveyor = surveyor
        self._rules = rules
        self._told: set[str] = set()

    def news(self) -> Iterator[str]:
        """The sentences that the user was not told yet."""
        line = None if self._progress is None else self._progress.slow_line
        if line is not None and "progress" not in self._told:
            self._told.add("progress")
            yield (
                f"watch.progress takes too long on lines such as {line!r}: the pattern is switched"
                f" off, and no step is read from the log any more; {ADVICE}"
            )
        name = self._surveyor.slow_name
        if name is not None and "pattern" not in self._told:
            self._told.add("pattern")
            yield (
                f"checkpoints.pattern takes too long on names such as {name!r}: such names do"
                f" not count as checkpoints; {ADVICE}"
            )
        for number, slow in self._rules.slow():
            if f"rule {number}" not in self._told:
                self._told.add(f"rule {number}")
                yield (
                    f"rule {number} of {self._rules.path} takes too long on lines such as {slow!r}:"
                    f" it is switched off; {ADVICE}"
                )

"""The user's own rules, tried before the built-in ones. Their patterns must not hold up the daemon.

`rules_file` reads them. They are `Rule`s, so that a traceback and a single line are matched as by
the built-in ones.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from supervisor.diagnosis.rules.rule import Hit, Rule
from supervisor.system.bounded_pattern import BoundedPattern, PatternTimeoutError

# A pattern that backtracks takes longer on longer lines; messages stand in their first part.
LINE_CHARACTERS_MAX = 2000
LINE_CPU_S = 0.05
DIAGNOSIS_CPU_S = 0.5
_OVERRUNS_MAX = 5
_SHOWN_CHARACTERS = 80
# A timer for each line took 0.03 ms, and so a second for twenty rules.
_LINES_TOGETHER = 200


class RulePattern:
    """A rule's pattern and its exception (`unless`), applied for a bounded time.

    They are switched off after several lines that took too long, or a diagnosis that did.
    """

    __slots__ = ("_overruns", "_pattern", "_spent_s", "_unless", "slow_line")

    def __init__(self, pattern: str, unless: str | None) -> None:
        """Raises re.error, RecursionError or OverflowError for what is no regular expression."""
        self._pattern = BoundedPattern(pattern, re.IGNORECASE)
        self._unless = None if unless is None else BoundedPattern(unless, re.IGNORECASE)
        self._overruns = 0
        self._spent_s = 0.0
        self.slow_line: str | None = None
        """A line that took too long, once the rule is switched off; None before."""

    @property
    def has_overrun(self) -> bool:
        """Whether a line took too long."""
        return self._overruns > 0

    def begin(self) -> None:
        """A diagnosis begins: it has the whole time."""
        self._spent_s = 0.0

    def search(self, text: str) -> re.Match[str] | None:
        """The match in a line; None too where the line took too long, or the rule is off."""
        if self.slow_line is not None:
            return None
        short, begun = text[:LINE_CHARACTERS_MAX], time.process_time()
        try:
            found = self._pattern.search(short, LINE_CPU_S)
            if found is not None and self._unless is not None:
                found = None if self._unless.search(short, LINE_CPU_S) else found
        except PatternTimeoutError:
            found = None
            self._overruns += 1
        self._spend(begun, text)
        return found

    def search_each(self, texts: Sequence[str]) -> Iterator[tuple[int, re.Match[str]]]:
        """The number of each line that matches, and its match."""
        for first in range(0, len(texts), _LINES_TOGETHER):
            some = texts[first : first + _LINES_TOGETHER]
            for index in self._suspects(some):
                found = self.search(some[index])
                if found is not None:
                    yield first + index, found

    def _suspects(self, texts: Sequence[str]) -> Iterable[int]:
        """Lines that may match: all, where together they take too long."""
        if self.slow_line is not None:
            return ()
        begun = time.process_time()
        try:
            found = self._pattern.search_each(
                [text[:LINE_CHARACTERS_MAX] for text in texts], LINE_CPU_S
            )
        except PatternTimeoutError:
            return range(len(texts))
        finally:
            self._spend(begun, texts[0])
        return [index for index, match in enumerate(found) if match is not None]

    def _spend(self, begun: float, text: str) -> None:
        self._spent_s += time.process_time() - begun
        if self._overruns >= _OVERRUNS_MAX or self._spent_s > DIAGNOSIS_CPU_S:
            self.slow_line = text[:_SHOWN_CHARACTERS]


@dataclass(frozen=True, slots=True)
class UserRule(Rule):
    """A rule of the user's file. `number` is its place there, from 1 on."""

    number: int = 0
    pattern: RulePattern = field(default_factory=lambda: RulePattern("", None), compare=False)

    def search(self, text: str) -> re.Match[str] | None:
        """The match of this rule in a line, or None."""
        return self.pattern.search(text)


@dataclass(frozen=True, slots=True)
class UserRules:
    """All rules of one file, in its order. `path` is for messages."""

    path: str = ""
    rules: tuple[UserRule, ...] = ()

    def begin(self) -> None:
        """A diagnosis begins."""
        for rule in self.rules:
            rule.pattern.begin()

    def slow(self) -> Iterator[tuple[int, str]]:
        """The rules that are switched off: the number of each, and a line that took too long."""
        for rule in self.rules:
            if rule.pattern.slow_line is not None:
                yield rule.number, rule.pattern.slow_line

    def scan(self, lines: Sequence[str], prepare: Callable[[str], str]) -> Iterator[Hit]:
        """All hits, rule by rule. `prepare` is applied to a line before the pattern."""
        if not self.rules:
            return
        prepared = [prepare(line) for line in lines]
        for rule in self.rules:
            for index, found in rule.pattern.search_each(prepared):
                yield Hit(index, found.start(), rule, prepared[index])


NO_RULES = UserRules()

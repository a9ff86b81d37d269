"""Reads a file of the user's own rules, and reports all its problems at once.

Each problem names the rule by its number and the key, and says what to write.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, ExitCode, Failure, Nature
from supervisor.diagnosis.log_line import plain_text
from supervisor.diagnosis.user_rules import RulePattern, UserRule, UserRules
from supervisor.errors import SupervisorError
from supervisor.system.small_file import read_small_file

LARGEST_BYTES = 1 << 20
_HINT = "docs/restart-policy.md#your-own-rules has a file to begin with"
_KEYS = (
    "pattern", "failure", "action", "after_first_step", "unless", "example", "source", "advice",
)  # fmt: skip
_REQUIRED = ("pattern", "failure", "action", "example")
_ACTIONS = (Action.RESTART, Action.BACKOFF, Action.ROLLBACK, Action.HOLD, Action.EXCLUDE)
_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_NAME_CHARACTERS_MAX = 40
# No log line says these: the supervisor finds them itself, and does more about them than an action.
_FOUND_BY_US = frozenset(
    {
        Failure.HANG,
        Failure.STUCK,
        Failure.CHECKPOINTS_MISSING,
        Failure.CHECKPOINTS_UNSEEN,
        Failure.LAUNCH_REFUSED,
        Failure.RESUME_IGNORED,
    }
)
_NEVER_READ = _FOUND_BY_US | {name for name in Failure if name.nature is Nature.ORDINARY}
FAILURES = tuple(name for name in Failure if name not in _NEVER_READ)


class RulesFileError(SupervisorError):
    """A rules file that cannot be used; `problems` holds every problem, in the file's order."""

    def __init__(self, path: str, problems: Iterable[str]) -> None:
        self.path = path
        self.problems = tuple(problems)
        count = len(self.problems)
        text = f"{path}: {self.problems[0]}"
        if count > 1:
            text = "\n".join([f"{path} has {count} problems", *(f"  {p}" for p in self.problems)])
        super().__init__(text, hint=_HINT, code=ExitCode.CONFIGURATION)


class _Problem(NamedTuple):
    """What is wrong with one key of one rule."""

    key: str
    message: str


def read_rules(path: str | None) -> UserRules:
    """The rules of a file; none for None. Raises RulesFileError with every problem found."""
    if path is None:
        return UserRules()
    try:
        text = read_small_file(Path(path), LARGEST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise RulesFileError(path, [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise RulesFileError(path, ["is not UTF-8: save the file as UTF-8 text"]) from None
    return parse_rules(text, path)


def parse_rules(text: str, path: str) -> UserRules:
    """The rules of a file's text. Raises RulesFileError with every problem found."""
    items = _items(text, path)
    problems: list[str] = []
    rules: list[UserRule] = []
    for number, item in enumerate(items, 1):
        found = list(_problems(item))
        problems += [f"rule {number}, {one.key}: {one.message}" for one in found]
        if not found:
            rules.append(_rule(item, number))
    # A rule is tried on the examples only where each rule can be read.
    problems = problems or list(_untrue_examples(rules))
    if problems:
        raise RulesFileError(path, problems)
    return UserRules(path, tuple(rules))


def _items(text: str, path: str) -> list[Any]:
    # A daemon without rules of the user's does not pay for this import.
    import yaml

    try:
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f"line {mark.line + 1}:{mark.column + 1}  "
        raise RulesFileError(path, [f"{place}is not YAML: {error.problem}"]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = str(error).partition("\n")[0]
        raise RulesFileError(path, [f"is not readable YAML: {said}"]) from None
    if not isinstance(values, list) or not values:
        found = "nothing" if not values else f"a {type(values).__name__}"
        found = {"a dict": "keys with values", "a str": "one text"}.get(found, found)
        message = f"expected a list of rules (each begins with `- pattern:`), found {found}"
        raise RulesFileError(path, [message])
    return values


def _problems(item: Any) -> Iterator[_Problem]:
    if not isinstance(item, dict):
        yield _Problem("pattern", "expected keys with values, as `pattern: …`")
        return
    for key in item:
        if key not in _KEYS:
            known = f"; known are {', '.join(_KEYS)}"
            yield _Problem(str(key), f"no such key{_meant(str(key), _KEYS) or known}")
    for key in _REQUIRED:
        if item.get(key) in (None, ""):
            yield _Problem(key, f"is missing: {_WANTED[key]}")
    for key in ("pattern", "unless", "example", "source"):
        value = item.get(key)
        if value is not None and not isinstance(value, str):
            yield _Problem(key, f"expected text, found {value!r}: put it in quotes")
        elif value and key in ("pattern", "unless") and (wrong := _wrong_regex(value)):
            yield _Problem(key, f"not a regular expression: {wrong}")
        elif value and key == "example" and "\n" in value:
            yield _Problem(key, "must be one line, as the trainer prints it")
    for key in ("action", "after_first_step"):
        if item.get(key) not in (None, "", *_ACTIONS):
            yield _Problem(key, _not_an_action(item[key]))
    if item.get("failure") not in (None, ""):
        yield from _problems_of_name(item["failure"])
    yield from _problems_of_advice(item.get("advice"))


_WANTED = {
    "pattern": "a regular expression for the line",
    "failure": "the name of what happened, such as license_expired",
    "action": f"one of {', '.join(_ACTIONS)}",
    "example": "a line that the pattern matches, as the trainer prints it",
}


def _problems_of_name(name: Any) -> Iterator[_Problem]:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _NAME_CHARACTERS_MAX:
        wanted = f"small letters, digits and _, {_NAME_CHARACTERS_MAX} at most"
        yield _Problem("failure", f"expected a word such as license_expired ({wanted})")
    elif name in _NEVER_READ:
        yield _Problem("failure", f"{name} is never read from a log: give it another name")


def _problems_of_advice(advice: Any) -> Iterator[_Problem]:
    if advice is None:
        return
    if not isinstance(advice, dict) or not isinstance(advice.get("sentence"), str):
        yield _Problem("advice", "expected `{sentence: …}`, and `command: …` in it if there is one")
        return
    for key, value in advice.items():
        if key not in ("sentence", "command"):
            yield _Problem(f"advice.{key}", "no such key; known are sentence, command")
        elif not isinstance(value, str) or "\n" in value.strip():
            yield _Problem(f"advice.{key}", "expected one line of text")


def _rule(item: Mapping[str, Any], number: int) -> UserRule:
    later = item.get("after_first_step")
    unless = item.get("unless") or None
    advice = item.get("advice")
    return UserRule(
        # The empty needle is in every line: nothing but the pattern decides.
        ("",),
        item["pattern"],
        Failure(item["failure"]),
        Action(item["action"]),
        unless=unless,
        example=item["example"],
        source=item.get("source") or "",
        advice=None if advice is None else _advice(advice),
        late=Action(later) if later else None,
        number=number,
        pattern=RulePattern(item["pattern"], unless),
    )


def _advice(item: Mapping[str, str]) -> Advice:
    return Advice(item["sentence"].strip(), item.get("command", "").strip())


def _untrue_examples(rules: list[UserRule]) -> Iterator[str]:
    """Examples that their own rule does not match, or an earlier one does."""
    for rule in rules:
        text = plain_text(rule.example)
        earlier = next((one for one in rules[: rule.number - 1] if one.search(text)), None)
        where = f"rule {rule.number}, example"
        if rule.search(text) is None:
            yield f"{where}: {_why_unmatched(rule, text)}"
        elif earlier is not None:
            yield (
                f"{where}: rule {earlier.number} matches it first: put rule {rule.number} before"
                " that, or narrow that one's pattern"
            )


def _why_unmatched(rule: UserRule, text: str) -> str:
    if rule.pattern.has_overrun:
        return "the pattern takes too long on it: write it without one repetition inside another"
    but = ", or `unless` matches it too" if rule.unless else ""
    seen = "" if text == rule.example else f"; without stamps and labels it is {text!r}"
    return f"the pattern does not match it{but}{seen}: correct one of them"


def _wrong_regex(text: str) -> str | None:
    try:
        re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return None


def _not_an_action(found: Any) -> str:
    meant = _meant(found, _ACTIONS) if isinstance(found, str) else ""
    return f"expected {', '.join(_ACTIONS[:-1])} or {_ACTIONS[-1]}, found {found!r}{meant}"


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def near_name(name: str) -> str | None:
    """The built-in name that a new one is nearly the same as; None for a name of ours, too."""
    if name in FAILURES:
        return None
    close = difflib.get_close_matches(name, FAILURES, n=1, cutoff=0.85)
    return close[0] if close else None

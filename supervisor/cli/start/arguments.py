"""In which arguments two command lines differ, as people read it and as part of a run's name.

What sounds secret is neither shown nor made part of a name.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from supervisor.cli.show.advice import shell_word
from supervisor.config.source import name_of
from supervisor.daemon.look.surroundings.variables import MASK, masked

_LONGEST_NAME = 64
_MOST_LINES = 8
_NUMBER = re.compile(r"-(?:\d|\.\d)")
_SETTING = re.compile(r"(?P<name>-{0,2}[A-Za-z_+~][\w.\-/@+]*)=(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Argument:
    """An option with its values, a flag, or a word that stands by itself."""

    option: str
    """As typed, `--lr`; empty for a word by itself."""
    values: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As a shell takes it."""
        if self.option and not self.option.startswith("-"):
            return shell_word(f"{self.option}={self.values[0]}")
        words = (self.option, *self.values) if self.option else self.values
        return " ".join(shell_word(word) for word in words)


def differing(
    before: Sequence[str], now: Sequence[str]
) -> tuple[tuple[Argument, ...], tuple[Argument, ...]]:
    """The arguments that only the one command line has, and those that only the other has.

    Both are empty where the arguments differ in their order alone.
    """
    codes = SequenceMatcher(None, before, now, autojunk=False).get_opcodes()
    changed = [code for code in codes if code[0] != "equal"]
    was = [one for _, i, j, _, _ in changed for one in _arguments(_with_option(before, i, j))]
    is_now = [one for _, _, _, i, j in changed for one in _arguments(_with_option(now, i, j))]
    gone, new = Counter(was) - Counter(is_now), Counter(is_now) - Counter(was)
    return tuple(_taken(was, gone)), tuple(_taken(is_now, new))


def difference_text(before: Sequence[str], now: Sequence[str]) -> str:
    """`--lr 1e-4 is now --lr 3e-4`: each difference on a line of its own."""
    gone, new = differing(masked(before), masked(now))
    lines = []
    rest = list(new)
    for was in gone:
        match = next((one for one in rest if one.option == was.option), None)
        if match is None:
            lines.append(f"without {was.text}")
        else:
            rest.remove(match)
            lines.append(f"{was.text} is now {match.text}")
    lines += [f"with {one.text}" for one in rest]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES - 1 :] = [f"and {len(lines) - _MOST_LINES + 1} more"]
    if lines:
        return "\n".join(lines)
    is_secret = masked(before) == masked(now)
    return "in a value that may be secret" if is_secret else "in the order of the arguments"


def name_from(base: str, before: Sequence[str], now: Sequence[str]) -> str:
    """A run's name with what differs: `train-lr3e-4`."""
    gone, new = differing(masked(before), masked(now))
    options = {one.option for one in new}
    parts = [_label(one, _counterpart(one, gone)) for one in new]
    parts += [
        f"no-{_plain(one.option)}" for one in gone if one.option and one.option not in options
    ]
    text = "-".join([base, *(part for part in parts if part)])
    name = name_of(text)
    if name == base:
        return numbered(base, now)
    return name if len(text) <= _LONGEST_NAME else numbered(name, now)


def numbered(base: str, command: Sequence[str]) -> str:
    """A name with a check of the command, where words would not tell two runs apart.

    The check has 16 bits: enough to tell a few runs apart, too few to tell a secret.
    """
    check = zlib.crc32("\0".join(command).encode("utf-8", "surrogateescape")) & 0xFFFF
    return f"{base[: _LONGEST_NAME - 5].rstrip('-._')}-{check:04x}"


def _with_option(words: Sequence[str], begin: int, end: int) -> Sequence[str]:
    """The words that changed, with the option whose values they are."""
    at = begin
    if begin < end and _is_value(words[begin]) and not words[begin].endswith(".py"):
        while at > 0 and _is_value(words[at - 1]):
            at -= 1
        at = at - 1 if at > 0 and _is_option(words[at - 1]) else begin
    return words[at:end]


def _arguments(words: Sequence[str]) -> Iterator[Argument]:
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        setting = _SETTING.fullmatch(word)
        if setting is not None:
            yield Argument(setting["name"], (setting["value"],))
        elif _is_option(word):
            values = []
            while place < len(words) and _is_value(words[place]):
                values.append(words[place])
                place += 1
            yield Argument(word, tuple(values))
        else:
            yield Argument("", (word,))


def _is_option(word: str) -> bool:
    return word.startswith("-") and word.strip("-") != "" and not _NUMBER.match(word)


def _is_value(word: str) -> bool:
    return not _is_option(word) and _SETTING.fullmatch(word) is None and word != "--"


def _taken(arguments: Sequence[Argument], counts: Counter[Argument]) -> Iterator[Argument]:
    left = counts.copy()
    for one in arguments:
        if left[one] > 0:
            left[one] -= 1
            yield one


def _counterpart(one: Argument, gone: Sequence[Argument]) -> Argument | None:
    return next((was for was in gone if was.option == one.option), None)


def _label(one: Argument, was: Argument | None) -> str:
    """`lr3e-4`, `optimizer-adam`, `fp16`; of a path the part that differs."""
    old = was.values if was is not None and len(was.values) == len(one.values) else one.values
    pairs = zip(one.values, old, strict=True)
    values = "-".join(_value(value, before) for value, before in pairs if value != MASK)
    option = _plain(one.option)
    is_joined = values[:1] in "-0123456789" and not option[-1:].isdigit()
    joint = "" if not option or not values or is_joined else "-"
    return f"{option}{joint}{values}"


def _plain(option: str) -> str:
    """`--optimizer.lr` as `lr`."""
    last = re.split(r"[./]", option.lstrip("-+~"))[-1]
    return _clean(last)


def _value(value: str, before: str) -> str:
    """A value as part of a name; of two paths the last part in which they differ."""
    if "://" in value:
        value = value.partition("://")[2]
    parts, others = value.rstrip("/").split("/"), before.rstrip("/").split("/")
    while len(parts) > 1 and others and parts[-1] == others[-1] and parts != others:
        parts, others = parts[:-1], others[:-1]
    last = parts[-1]
    stem, dot, suffix = last.rpartition(".")
    is_file = bool(dot and stem) and suffix.isalpha() and suffix.islower()
    sign = "-" if _NUMBER.match(value) else ""
    return sign + _clean(stem if is_file else last)


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")

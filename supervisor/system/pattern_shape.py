r"""What a regular expression's shape says of the time it may take. It applies no expression.

The parser is the standard library's own and has no public name. If it changes, no expression is
called quick.
"""

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

# A part repeated so often shows a time that grows exponentially. To show a power of the text's
# length, the part is repeated up to that length.
_SHORT_REPEATS = 60
_CHOICES_AT_MOST = 2.5
_LEFT_OUT = 0.1
_ENDLESS = 1000.0
_CLASS_CANDIDATES = "a1 _-A.:/=\t!~,"
_CATEGORY = {"DIGIT": "1", "SPACE": " ", "WORD": "a", "NOT_DIGIT": "a", "NOT_SPACE": "a"}
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_Items = Iterable[tuple[Any, Any]]


def is_surely_quick(pattern: str) -> bool:
    """Whether its time grows with a low power of the text's length, whatever the text is.

    That holds for two repetitions at most and a few optional parts. No repetition, optional part
    or alternative may lie inside a repetition.
    """
    tree = _parsed(pattern)
    return tree is not None and _choices(tree) <= _CHOICES_AT_MOST


def hostile_texts(pattern: str, length_max: int, *, are_long: bool = False) -> Iterator[str]:
    """Texts that make it backtrack, if any do: each repeated part again and again, then an end.

    Short texts show a time that grows exponentially. With `are_long`, the texts show a time that
    grows with a power of their length.
    """
    tree = _parsed(pattern)
    for before, body in () if tree is None else _repeated(tree, ""):
        for pump in dict.fromkeys(_samples(body)):
            room = (length_max - len(before) - 1) // len(pump)
            count = room if are_long else min(room, _SHORT_REPEATS)
            for end in ("!", "\x1f"):
                yield before + pump * count + end


def _parsed(pattern: str) -> _Items | None:
    try:
        items: _Items = import_module("re._parser").parse(pattern)
    except (ImportError, AttributeError, re.error, RecursionError):
        return None
    return items


def _choices(items: _Items, *, is_repeated: bool = False) -> float:
    """In how many places a match can go on in more than one way; endless inside a repetition."""
    count = 0.0
    for kind, value in items:
        name = str(kind)
        parts = _inner(name, value)
        if name in _REPEATS:
            least, most = int(value[0]), int(value[1])
            parts = [value[2]]
            if least != most:
                count += _ENDLESS if is_repeated else 1.0 if most > 1 else _LEFT_OUT
        elif name.startswith("GROUPREF"):
            count += _ENDLESS
        elif name == "BRANCH":
            count += _ENDLESS if is_repeated else _LEFT_OUT
        inside = is_repeated or (name in _REPEATS and int(value[1]) > 1)
        count += sum(_choices(part, is_repeated=inside) for part in parts)
    return count


def _repeated(items: _Items, before: str) -> Iterator[tuple[str, _Items]]:
    """Every repeated part, with a text that leads to it."""
    for kind, value in items:
        name = str(kind)
        if name in _REPEATS:
            if int(value[1]) > 1:
                yield before, value[2]
            yield from _repeated(value[2], before)
        else:
            for one in _inner(name, value):
                yield from _repeated(one, before)
        before += _sample([(kind, value)], is_full=True)


def _inner(name: str, value: Any) -> list[_Items]:
    """The parts that an item is made of. The callers look into repetitions themselves."""
    match name:
        case "SUBPATTERN":
            return [value[3]]
        case "BRANCH":
            return list(value[1])
        case "ATOMIC_GROUP":
            return [value]
        case "ASSERT" | "ASSERT_NOT":
            return [value[1]]
        case _:
            return []


def _samples(items: _Items) -> Iterator[str]:
    """Texts that a repeated part matches: the shortest, the longest, each of its alternatives."""
    parts = list(items)
    for is_full in (False, True):
        if text := _sample(parts, is_full=is_full):
            yield text
    for kind, value in parts:
        for one in _inner(str(kind), value):
            yield from _samples(one)


def _sample(items: _Items, *, is_full: bool) -> str:
    """A text that these items match; `is_full`: with its optional parts."""
    text = ""
    for kind, value in items:
        name = str(kind)
        match name:
            case "LITERAL":
                text += chr(value)
            case "ANY":
                text += "a"
            case "NOT_LITERAL":
                text += "a" if chr(value) != "a" else "1"
            case "IN":
                text += _of_class(value)
            case "SUBPATTERN" | "ATOMIC_GROUP" | "BRANCH":
                text += _sample(_inner(name, value)[0], is_full=is_full)
            case _ if name in _REPEATS:
                least = max(int(value[0]), int(is_full))
                text += _sample(value[2], is_full=is_full) * min(least, _SHORT_REPEATS)
    return text


def _of_class(entries: _Items) -> str:
    """A character of a class. For a negated class, the first candidate that it does not exclude."""
    parts = [(str(kind), value) for kind, value in entries]
    if parts and parts[0][0] == "NEGATE":
        return next((c for c in _CLASS_CANDIDATES if not _is_of(c, parts[1:])), "~")
    kind, value = parts[0]
    if kind == "CATEGORY":
        return _CATEGORY.get(str(value).removeprefix("CATEGORY_"), "!")
    return chr(value[0]) if kind == "RANGE" else chr(value)


def _is_of(character: str, parts: list[tuple[str, Any]]) -> bool:
    for kind, value in parts:
        if kind == "LITERAL" and chr(value) == character:
            return True
        if kind == "RANGE" and value[0] <= ord(character) <= value[1]:
            return True
        if kind == "CATEGORY" and character == _CATEGORY.get(str(value)[9:]):
            return True
    return False

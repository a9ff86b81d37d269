"""Puts pydantic's errors into words that a user can act on. It checks nothing itself.

No value below `notify` or `hooks` is shown, since an address or a token in the wrong place is a
secret all the same.
"""

from types import NoneType
from typing import get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from supervisor.config.document import Document
from supervisor.config.model import RunConfig
from supervisor.config.problems import Problem, nearest, shown_key
from supervisor.config.sections import Section, section_below


def explain(error: ValidationError, document: Document) -> list[Problem]:
    """Each error with its line, its dotted key, what was expected, and the nearest valid word."""
    return [_problem(details, document) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails, document: Document) -> Problem:
    """One error in words."""
    path = tuple(part for part in details["loc"] if part != "[key]")
    found, context = details["input"], details.get("ctx", {})
    line, column = document.place(path)
    if details["loc"][-1] == "[key]" and isinstance(found, bool):
        path = path[:-1]  # pydantic's path has 1 for the key `true`
    said = _kind if path[:1] in (("notify",), ("hooks",)) else _shown
    meant: str | None = None
    match details["type"]:
        case "extra_forbidden":
            known = _keys_of(path[:-1])
            message = "no such key" if known else "no such key here"
            meant = nearest(str(path[-1]), known) or _elsewhere(str(path[-1]))
            if meant is None:
                message += f"; known keys here: {', '.join(known)}"
        case "missing":
            message = "is missing: give the training command as a list"
        case "string_type" if details["loc"][-1] == "[key]":
            message = f"is not a key: a key must be text, found {said(found)}"
        case "string_type":
            message = _not_text(found, None if said is _kind else document.typed(path))
        case "literal_error":
            message = f"expected {context['expected']}, found {said(found)}"
            words = str(context["expected"]).replace(" or ", ", ").split(", ")
            if isinstance(found, str):
                meant = nearest(found, [word.strip("'") for word in words])
        case "int_type" | "int_from_float":
            message = f"expected a whole number, found {said(found)}"
        case "greater_than_equal":
            message = f"must be at least {context['ge']}, found {said(found)}"
        case "tuple_type":
            message = f"expected a list ([a, b] or one `- item` a line), found {said(found)}"
        case "model_type" | "dict_type" | "model_attributes_type":
            message = f"expected keys with values below this key, found {said(found)}"
        case "string_too_short":
            message = "is empty"
        case "invalid_key":
            message = f"is not a key: a key must be text, found {said(found)}"
        case "string_pattern_mismatch":
            message = "is not the name of an environment variable"
        case "value_error":
            message = str(context["error"])
            if not _says_what_it_found(message):
                message += f", found {said(found)}"
        case _:
            message = f"{details['msg']}, found {said(found)}"
    return Problem(line, column, _dotted(path), message, meant)


def _says_what_it_found(message: str) -> bool:
    """Whether a message of our own validators needs no `found …` behind it."""
    return not message.startswith(("expected", "must be more"))


def _not_text(found: object, typed: str | None) -> str:
    """Says what was found in place of text, and what to write instead."""
    if isinstance(found, (dict, list)):
        return f"expected text, found {_shown(found)}"
    if found is None:
        return 'expected text, found nothing; write "" for an empty text'
    kind = _kind(found)
    if typed is None:
        return f"expected text, found {kind}; put it into quotes"
    return f'expected text, found {kind}; write "{typed}"'


def _shown(value: object) -> str:
    """A value for a message: its kind, or its text cut to 60 characters."""
    match value:
        case None | dict() | list() | tuple():
            return _kind(value)
        case bool():
            return "true" if value else "false"
        case _:
            text = repr(value)
            return text if len(text) <= 60 else text[:57] + "..."


def _kind(value: object) -> str:
    """The kind of a value that must not be shown."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case _:
            return f"a {type(value).__name__}"


def _dotted(path: tuple[str | int, ...]) -> str:
    """`resume.args[1]` of ("resume", "args", 1)."""
    text = ""
    for part in path:
        word = part if isinstance(part, int) else shown_key(part)
        text += f"[{word}]" if isinstance(part, int) else f".{word}" if text else str(word)
    return text


def _keys_of(path: tuple[str | int, ...]) -> list[str]:
    """The keys of the section at a path; empty where there is no section."""
    section: type[Section] = RunConfig
    for part in path:
        field = section.model_fields.get(str(part))
        below = None if field is None else _section_at(field)
        if below is None:
            return []
        section = below
    return list(section.model_fields)


def _section_at(field: FieldInfo) -> type[Section] | None:
    """The section that a key stands for, also where it may be left out; None for other keys."""
    kinds = [one for one in get_args(field.annotation) if one is not NoneType]
    optional = kinds[0] if len(kinds) == 1 and isinstance(kinds[0], type) else None
    if optional is not None and issubclass(optional, Section):
        return optional
    return section_below(field)


def _elsewhere(word: str) -> str | None:
    """A similar key at the top or in a section: for `keep` at the top, `checkpoints.keep`."""
    for name, field in RunConfig.model_fields.items():
        if name == word:
            return name
        if (section := section_below(field)) is not None:
            close = nearest(word, section.model_fields)
            if close is not None:
                return f"{name}.{close}"
    return None

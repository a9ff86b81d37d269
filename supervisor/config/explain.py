"""Puts pydantic's errors into words that a user can act on. It checks nothing itself."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from supervisor.config.document import Document
from supervisor.config.model import RunConfig
from supervisor.config.problems import Problem, nearest
from supervisor.config.sections import Section, section_below


def explain(error: ValidationError, document: Document) -> list[Problem]:
    """Each error with its line, its dotted key, what was expected, and the nearest valid word."""
    return [_problem(details, document) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails, document: Document) -> Problem:
    """One error in words."""
    path = tuple(part for part in details["loc"] if part != "[key]")
    line, column = document.place(path)
    found, context = details["input"], details.get("ctx", {})
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
            message = f"is not a key: a key must be text, found {_shown(found)}"
        case "string_type":
            message = _not_text(found, document.typed(path))
        case "literal_error":
            message = f"expected {context['expected']}, found {_shown(found)}"
            words = str(context["expected"]).replace(" or ", ", ").split(", ")
            if isinstance(found, str):
                meant = nearest(found, [word.strip("'") for word in words])
        case "int_type" | "int_from_float":
            message = f"expected a whole number, found {_shown(found)}"
        case "greater_than_equal":
            message = f"must be at least {context['ge']}, found {_shown(found)}"
        case "tuple_type":
            message = f"expected a list ([a, b] or one `- item` a line), found {_shown(found)}"
        case "model_type" | "dict_type" | "model_attributes_type":
            message = f"expected keys with values below this key, found {_shown(found)}"
        case "string_too_short":
            message = "is empty"
        case "invalid_key":
            message = f"is not a key: a key must be text, found {_shown(found)}"
        case "string_pattern_mismatch":
            message = "is not the name of an environment variable"
        case "value_error":
            message = str(context["error"])
            if not _says_what_it_found(message):
                message += f", found {_shown(found)}"
        case _:
            message = f"{details['msg']}, found {_shown(found)}"
    return Problem(line, column, _dotted(path), message, meant)


def _says_what_it_found(message: str) -> bool:
    """Whether a message of our own validators needs no `found …` behind it."""
    return not message.startswith(("expected", "must be more"))


def _not_text(found: object, typed: str | None) -> str:
    """Says what was found in place of text, and what to write instead."""
    if isinstance(found, (dict, list)):
        return f"expected text, found {_shown(found)}"
    kind = {bool: "a truth value", int: "a number", float: "a number"}.get(type(found))
    if found is None:
        return 'expected text, found nothing; write "" for an empty text'
    if kind is None:
        kind = f"a {type(found).__name__}"
    return f'expected text, found {kind}; write "{found if typed is None else typed}"'


def _shown(value: object) -> str:
    """A value for a message: its kind, or its text cut to 60 characters."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case bool():
            return "true" if value else "false"
        case _:
            text = repr(value)
            return text if len(text) <= 60 else text[:57] + "..."


def _dotted(path: tuple[str | int, ...]) -> str:
    """`resume.args[1]` of ("resume", "args", 1)."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _keys_of(path: tuple[str | int, ...]) -> list[str]:
    """The keys of the section at a path; empty where there is no section."""
    section: type[Section] = RunConfig
    for part in path:
        field = section.model_fields.get(str(part))
        below = None if field is None else section_below(field)
        if below is None:
            return []
        section = below
    return list(section.model_fields)


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

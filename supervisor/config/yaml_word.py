"""A text as one word of YAML; it knows no document, and no pydantic."""

import re

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./+=@-]*|--?[A-Za-z][A-Za-z0-9_./=+@-]*")
_NOT_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "."}


def yaml_word(word: str) -> str:
    """A text as it stands in a YAML list, quoted where it must be."""
    if _PLAIN.fullmatch(word) and word.lower() not in _NOT_TEXT:
        return word
    if word.isprintable():
        return "'" + word.replace("'", "''") + "'"
    escapes = {"\\": "\\\\", '"': '\\"'}
    return '"' + "".join(escapes.get(c, _escaped(c)) for c in word) + '"'


def _escaped(character: str) -> str:
    """A character as a double-quoted YAML text takes it."""
    return character if character.isprintable() else f"\\U{ord(character):08x}"

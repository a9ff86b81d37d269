"""Writes a text as one YAML scalar; it imports neither a YAML library nor pydantic."""

import re

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./+=@-]*|--?[A-Za-z][A-Za-z0-9_./=+@-]*")
_NOT_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "."}


def yaml_word(word: str) -> str:
    """A text as one item of a YAML list, quoted where needed."""
    if _PLAIN.fullmatch(word) and word.lower() not in _NOT_TEXT:
        return word
    if word.isprintable():
        return "'" + word.replace("'", "''") + "'"
    escapes = {"\\": "\\\\", '"': '\\"'}
    return '"' + "".join(escapes.get(c, _escaped(c)) for c in word) + '"'


def _escaped(character: str) -> str:
    """A character inside a double-quoted YAML text, escaped unless it is printable."""
    return character if character.isprintable() else f"\\U{ord(character):08x}"

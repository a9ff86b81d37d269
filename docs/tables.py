"""Writes the tables of docs/run-directory.md that are made from the code, for `make docs`.

The sentence below a field is what the page says of it. What stands around the tables is written by
hand.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any

from supervisor.core.status import NoDaemon, Status, StillRunning

PAGE = Path(__file__).with_name("run-directory.md")
# What `supervisor status --json` says besides.
_ADDED = {"no_daemon": NoDaemon, "still_running": StillRunning}


def written(page: str) -> str:
    """The page with its tables as the code has them now. Raises ValueError without their marks."""
    return _between(page, "status", ["| field | |", "|---|---|", *status_rows()])


def status_rows() -> Iterator[str]:
    """A row for each key of `status.json`, and for what `--json` adds."""
    yield from _rows("", Status)
    for name, kind in _ADDED.items():
        text = f"only in `supervisor status --json`: {_phrase(kind.__doc__)}"
        yield f"| `{name}` | {text}: {_members(kind)} |"


def _rows(prefix: str, kind: type) -> Iterator[str]:
    said = sentences(kind)
    for field in fields(kind):
        name, inner = prefix + field.name, _record_in(field.type)
        if inner is None and prefix:
            continue  # it is named in the row of its record
        parts = [_phrase(said.get(field.name)), "" if inner is None else _members(inner)]
        yield f"| `{name}` | {': '.join(part for part in parts if part)} |"
        if inner is not None:
            yield from _rows(f"{name}.", inner)


def sentences(kind: type) -> dict[str, str]:
    """What stands below each field of a class, in one line."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for before, after in pairwise(definition.body):
        match before, after:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                found[name] = " ".join(text.split())
    return found


def _members(kind: type) -> str:
    """The fields of a record, each with what is said of it: `state` (one of three), `pid`."""
    said = sentences(kind)
    parts = []
    for field in fields(kind):
        is_told = field.name in said and _record_in(field.type) is None
        parts.append(f"`{field.name}`" + (f" ({_phrase(said[field.name])})" if is_told else ""))
    return ", ".join(parts)


def _record_in(annotation: Any) -> type | None:
    """The dataclass that a field holds, if it holds one."""
    kinds = annotation.__args__ if isinstance(annotation, UnionType) else (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)), None)


def _phrase(sentence: str | None) -> str:
    """A sentence as a table has it: without a full stop, and with a small letter."""
    text = (sentence or "").removesuffix(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _between(page: str, name: str, lines: list[str]) -> str:
    first, last = f"<!-- {name}: made by `make docs` -->\n", f"<!-- {name}: end -->\n"
    head, rest = page.split(first)
    _, tail = rest.split(last)
    return head + first + "".join(f"{line}\n" for line in lines) + last + tail


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))

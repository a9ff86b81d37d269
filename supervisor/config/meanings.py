"""What each key of a configuration means: the text below its field in `model.py` and the sections.

The texts are read from the source files: `init` needs no pydantic, and pydantic's own way would
cost every start 30 ms.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

_NAMES = (
    "model.py",
    "sections.py",
    "checkpoints_section.py",
    "telling_sections.py",
    "hook_section.py",
)
_SOURCES = [Path(__file__).with_name(name) for name in _NAMES]


@dataclass(frozen=True, slots=True)
class Meaning:
    """A key's documentation without line breaks: the comment for `init`, and further details."""

    comment: str
    details: str = ""

    @property
    def text(self) -> str:
        """The comment and the details."""
        return f"{self.comment} {self.details}".rstrip()


def key_meanings() -> dict[str, Meaning]:
    """The meaning of each key, by its dotted name; a section's is the docstring of its class."""
    trees = [ast.parse(path.read_bytes()) for path in _SOURCES]
    nodes = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    classes = {node.name: node for node in nodes}
    return {name: _meaning(text) for name, text in _documented(classes["RunConfig"], classes)}


def texts_below(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Each field of a class with a text below it, and that text."""
    for before, after in pairwise(definition.body):
        match before, after:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                yield name, text


def _documented(
    definition: ast.ClassDef, classes: dict[str, ast.ClassDef], above: str = ""
) -> Iterator[tuple[str, str]]:
    """The keys of a section and of the sections in it, each with its text."""
    for name, text in texts_below(definition):
        yield above + name, text
    for statement in definition.body:
        match statement:
            case ast.AnnAssign(ast.Name(name), ast.Name(kind)) if kind in classes:
                yield above + name, ast.get_docstring(classes[kind]) or ""
                yield from _documented(classes[kind], classes, f"{above}{name}.")


def _meaning(text: str) -> Meaning:
    comment, _, details = text.partition("\n\n")
    return Meaning(" ".join(comment.split()), " ".join(details.split()))

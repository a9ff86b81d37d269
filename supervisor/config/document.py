"""A YAML text as values, with the place of each key; it must not know which keys are allowed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from supervisor.config.problems import Problem, shown_key

Path = Sequence[str | int]
_TEXT = "tag:yaml.org,2002:str"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_TRUTH = "tag:yaml.org,2002:bool"
# In these lists a number stays the text that was typed: `--lr, 1e-4` must not become 0.0001.
_HOOKS = ("before_launch", "attempt_ended", "checkpoint_proven", "held", "finished")
_WORD_LISTS = (
    *(("command",), ("resume", "args"), ("resume", "fresh_args")),
    *(("hooks", name) for name in _HOOKS),
    *(("hooks", name, "command") for name in _HOOKS),
)


class NotYamlError(Exception):
    """A text that is not YAML; `problem` says where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a YAML text, its duplicate keys, and the parsed nodes with their places."""

    values: Any
    duplicates: tuple[Problem, ...]
    root: yaml.Node | None

    @classmethod
    def parse(cls, text: str) -> "Document":
        """Parse one YAML document with the safe loader. Raises NotYamlError."""
        loader = yaml.SafeLoader("")
        try:
            loader = yaml.SafeLoader(text)
            root = loader.get_single_node()
            if root is None:
                return cls(None, (), None)
            duplicates = _duplicates(root)
            for path in _WORD_LISTS:
                _keep_as_typed(_child(root, path))
            return cls(loader.construct_document(root), duplicates, root)
        except yaml.YAMLError as error:
            raise NotYamlError(_syntax_problem(error, text)) from None
        except (ValueError, RecursionError) as error:
            # PyYAML raises these itself: ValueError for the date 2026-99-99, RecursionError for a
            # thousand nested brackets.
            raise NotYamlError(Problem(None, None, "", f"is not readable YAML: {error}")) from None
        finally:
            loader.dispose()

    def place(self, path: Path) -> tuple[int | None, int | None]:
        """Line and column (1-based) of a key, or of the nearest key around it that exists."""
        node, mark = self.root, self.root.start_mark if self.root is not None else None
        for part in path:
            match node:
                case yaml.MappingNode():
                    found = [(k, v) for k, v in node.value if k.value == str(part)]
                    found = found or [(k, v) for k, v in node.value if _meant(k) == part]
                    if not found:
                        break
                    mark, node = found[-1][0].start_mark, found[-1][1]
                case yaml.SequenceNode() if isinstance(part, int) and part < len(node.value):
                    node = node.value[part]
                    mark = node.start_mark
                case _:
                    break
        return (mark.line + 1, mark.column + 1) if mark is not None else (None, None)

    def typed(self, path: Path) -> str | None:
        """A scalar value as typed in the file, before YAML gave it a type; None for others."""
        node = _child(self.root, path)
        return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def _child(node: yaml.Node | None, path: Path) -> yaml.Node | None:
    """The node at a path, or None."""
    for part in path:
        match node:
            case yaml.MappingNode():
                node = next((v for k, v in reversed(node.value) if k.value == str(part)), None)
            case yaml.SequenceNode() if isinstance(part, int) and part < len(node.value):
                node = node.value[part]
            case _:
                return None
    return node


def _meant(key: yaml.Node) -> object:
    """The number or truth value that a key is, in whatever way it is typed; None for other keys."""
    is_value = isinstance(key, yaml.ScalarNode) and key.tag in (*_NUMBERS, _TRUTH)
    return yaml.SafeLoader("").construct_object(key) if is_value else None


def _keep_as_typed(node: yaml.Node | None) -> None:
    """Turn the numbers in a list of words back into the text that was typed."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            if isinstance(item, yaml.ScalarNode) and item.tag in _NUMBERS:
                item.tag = _TEXT


def _duplicates(root: yaml.Node) -> tuple[Problem, ...]:
    """Each key that stands twice in one mapping: YAML would silently take the last."""
    problems: list[Problem] = []
    seen_nodes: set[int] = set()
    pending: list[tuple[yaml.Node, str]] = [(root, "")]
    while pending:
        node, prefix = pending.pop()
        if id(node) in seen_nodes:  # an alias: the same node again, or a cycle
            continue
        seen_nodes.add(id(node))
        if isinstance(node, yaml.MappingNode):
            first: dict[object, int] = {}
            for key, value in node.value:
                name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
                shown = shown_key(name)
                dotted = f"{prefix}.{shown}" if prefix else shown
                mark = key.start_mark
                known = {name, _meant(key)} - {None, "<<"}
                before = next((first[one] for one in known if one in first), None)
                if before is not None:
                    message = f"stands here a second time: put both together in line {before}"
                    problems.append(Problem(mark.line + 1, mark.column + 1, dotted, message))
                first |= dict.fromkeys(known - first.keys(), mark.line + 1)
                pending.append((value, dotted))
        elif isinstance(node, yaml.SequenceNode):
            pending.extend((item, f"{prefix}[{i}]") for i, item in enumerate(node.value))
    return tuple(problems)


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    """A syntax error in words, with its place."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Problem(None, None, "", f"is not YAML: {error}".splitlines()[0])
    line, column = error.problem_mark.line + 1, error.problem_mark.column + 1
    lines = text.splitlines()
    at_fault = lines[line - 1] if line <= len(lines) else ""
    if "\t" in at_fault[: len(at_fault) - len(at_fault.lstrip())]:
        message = "a tab in the indentation: YAML allows only spaces there"
    else:
        context = f"{error.context}, " if error.context else ""
        message = f"not YAML: {context}{error.problem}"
    return Problem(line, column, "", message)

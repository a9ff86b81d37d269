"""The shape of a state: which containers, keys, tensors and plain values, and where each is.

A snapshot matches a state against its shape instead of pickling it. So matching has to be fast:
0.2 ms for a thousand tensors. It never looks into a tensor.
"""

from collections import OrderedDict
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

# Types of values that change from step to step. Each value can be put into a pickle at its place,
# without the pickler's memo.
PLAIN = frozenset({bool, int, float, str, type(None)})
_FIXED = frozenset({bytes, torch.dtype, torch.device, torch.Size, torch.layout, complex})
_KEYS = frozenset({str, int, float, bool, bytes, type(None)})
# A state with more plain values is pickled anew as a whole: a part for each would cost more.
MOST_PLAIN_VALUES = 4096


class MismatchError(Exception):
    """A state does not have the shape it had."""


class UnknownError(Exception):
    """A state holds a part of which only pickling can tell what it is."""


class Leaves(NamedTuple):
    """A state's tensors and plain values, each in the order of a walk."""

    tensors: list[Tensor]
    values: list[Any]


class Node(Protocol):
    """The shape of one part of a state."""

    def collect(self, part: Any, leaves: Leaves) -> None:
        """Add the leaves of a part of this shape. Raises MismatchError."""


class _TensorNode:
    def collect(self, part: Any, leaves: Leaves) -> None:
        if not isinstance(part, Tensor):
            raise MismatchError
        leaves.tensors.append(part)


class _ValueNode:
    def collect(self, part: Any, leaves: Leaves) -> None:
        leaves.values.append(part)


class _FixedNode(NamedTuple):
    value: Any

    def collect(self, part: Any, leaves: Leaves) -> None:
        if type(part) is not type(self.value) or part != self.value:
            raise MismatchError


class _DictNode(NamedTuple):
    kind: Any  # a type; mypy would narrow `part` to it
    keys: list[Any]
    children: tuple[Node, ...] | None
    """None: tensors only."""
    attributes: dict[str, Any] | None

    def collect(self, part: Any, leaves: Leaves) -> None:
        if type(part) is not self.kind or list(part) != self.keys:
            raise MismatchError
        if self.attributes is not None and part.__dict__ != self.attributes:
            raise MismatchError
        if self.children is None:
            leaves.tensors.extend(part.values())
        else:
            for child, value in zip(self.children, part.values(), strict=True):
                child.collect(value, leaves)


class _ListNode(NamedTuple):
    kind: Any
    length: int
    children: tuple[Node, ...] | None
    """None: plain values only."""

    def collect(self, part: Any, leaves: Leaves) -> None:
        if type(part) is not self.kind or len(part) != self.length:
            raise MismatchError
        if self.children is None:
            leaves.values.extend(part)
        else:
            for child, value in zip(self.children, part, strict=True):
                child.collect(value, leaves)


_TENSOR = _TensorNode()
_VALUE = _ValueNode()


class Shape:
    """A state's shape. Raises UnknownError if a part's type is not known here."""

    def __init__(self, content: Any) -> None:
        self._plain_count = 0
        try:
            self._root = self._shape_of(content)
        except RecursionError as error:
            raise UnknownError("a state that holds itself") from error
        if self._plain_count > MOST_PLAIN_VALUES:
            raise UnknownError(f"{self._plain_count} plain values")

    def match(self, content: Any) -> Leaves:
        """The leaves of a state of this shape. Raises MismatchError.

        It checks that plain values are plain. In a dict that had only tensors, it does not check
        that they still are: `Binding.match` does.
        """
        leaves = Leaves([], [])
        self._root.collect(content, leaves)
        if not PLAIN.issuperset(map(type, leaves.values)):
            raise MismatchError
        return leaves

    def _shape_of(self, part: Any) -> Node:
        kind = type(part)
        if isinstance(part, Tensor):
            return _TENSOR
        if kind in PLAIN:
            self._plain_count += 1
            return _VALUE
        if kind in _FIXED:
            return _FixedNode(part)
        if kind is dict or kind is OrderedDict:
            return self._shape_of_dict(part)
        if kind is list or kind is tuple:
            children = tuple(map(self._shape_of, part))
            is_plain = all(child is _VALUE for child in children)
            return _ListNode(kind, len(part), None if is_plain else children)
        raise UnknownError(f"a {kind.__name__}")

    def _shape_of_dict(self, part: dict[Any, Any]) -> Node:
        if not _KEYS.issuperset(map(type, part)):
            raise UnknownError("keys that are no plain values")
        children = tuple(map(self._shape_of, part.values()))
        attributes = None
        if type(part) is OrderedDict:
            attributes = _copy_plain(part.__dict__)
        # for speed; `Binding.match` finds values that are not tensors any more
        is_all_tensors = bool(children) and all(child is _TENSOR for child in children)
        return _DictNode(type(part), list(part), None if is_all_tensors else children, attributes)


def copy_with(content: Any, values: Any) -> Any:
    """Copy a state's containers, but not its tensors; plain values are taken from an iterator.

    Only for a state that has a Shape. A container that is in the state twice becomes two.
    """
    kind = type(content)
    if kind in PLAIN:
        return next(values)
    if kind is dict or kind is OrderedDict:
        copied = kind((key, copy_with(value, values)) for key, value in content.items())
        if kind is OrderedDict:
            copied.__dict__.update(_copy_plain(content.__dict__))
        return copied
    if kind is list or kind is tuple:
        return kind(copy_with(value, values) for value in content)
    return content


def copy_containers(content: Any) -> Any:
    """Copy a state's containers, but not its tensors. Raises UnknownError without a Shape."""
    return copy_with(content, iter(Shape(content).match(content).values))


def _copy_plain(part: Any) -> Any:
    """Copy what a module's state_dict has beside its entries: plain values in dicts."""
    kind = type(part)
    if kind is dict or kind is OrderedDict:
        return kind((key, _copy_plain(value)) for key, value in part.items())
    if kind in PLAIN:
        return part
    raise UnknownError(f"a {kind.__name__} as an attribute")

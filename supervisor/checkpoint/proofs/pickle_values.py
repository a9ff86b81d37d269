"""Reads the values in a pickle with an interpreter that imports and calls nothing.

`pickle.Unpickler` with a harmless `find_class` would still hash keys, and hashing a tuple of tuples
of tuples takes forever. This interpreter must not hash or compare such objects. It has nothing that
a pickle could run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# An object and its places on the stack and in the memo take 150 bytes (CPython 3.11). At 250 bytes
# each, the limit below allows 1.3 million opcodes, which take seconds. A save of 20,000 chunks has
# so many.
_BYTES_AN_OPCODE = 250
# A character takes up to 4 bytes as text, and 1 in the file.
_BYTES_A_CHARACTER = 5
_MOST_BYTES = 320 << 20
# The objects that are looked into have 5 attributes. Many objects may share one state, and each of
# them goes through all of it.
_MOST_ATTRIBUTES = 32
_MOST_STATES = 2  # the attributes in `__dict__`, and those in slots


class UnknownPickleError(ValueError):
    """The bytes are no pickle, or a pickle that this module does not read.

    Such a pickle is too large, or has an opcode or an object that no known checkpoint has.
    """


class Named(NamedTuple):
    """The class or function that unpickling would import."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class Made:
    """An object that unpickling would make by calling `by` with `arguments`.

    `state`: what unpickling would set on it afterwards. `items`: the entries that it would put into
    the object (an OrderedDict's).
    """

    by: object
    arguments: object
    state: object = None
    items: "Entries | None" = None

    def fields(self) -> dict[str, object]:
        """The attributes that its state sets, by name.

        A state is a dict of attributes, or a tuple of such a dict and one for the slots. Raises
        UnknownPickleError for more states or attributes than a known object has.
        """
        states = self.state if isinstance(self.state, tuple) else (self.state,)
        if len(states) > _MOST_STATES:
            raise UnknownPickleError("an object has more than one state")
        found: dict[str, object] = {}
        for state in states:
            if isinstance(state, Entries):
                if len(state.pairs) > _MOST_ATTRIBUTES:
                    raise UnknownPickleError("an object has more attributes than any that is known")
                found.update((key, value) for key, value in state.pairs if type(key) is str)
        return found


@dataclass(slots=True, eq=False)
class Entries:
    """A dict, in the order in which it was filled; its keys are not hashed."""

    pairs: list[tuple[object, object]] = field(default_factory=list)


def read_pickle(data: bytes) -> object:
    """The value of a pickle, without unpickling it. Raises UnknownPickleError.

    It is made of None, numbers, strings, bytes, lists, tuples, `Entries`, `Made` and `Named`.
    """
    import warnings

    try:
        with warnings.catch_warnings():
            # Python warns of escapes in a protocol 0 string as if that were source code.
            warnings.simplefilter("ignore")
            return _Machine().run(data)
    except UnknownPickleError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        # The error's own text is left out, because it may show a string of any length.
        raise UnknownPickleError("it is no pickle") from error


_CONSTANTS = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
)


class _Machine:
    """The stack machine of the pickle format. It notes calls and imports, and makes none."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        # In a dict an index of 2**32 takes no more memory than any other.
        self._memo: dict[int, object] = {}
        push, pop, since_mark = self._stack.append, self._pop, self._since_mark
        by_opcode: dict[str, Callable[[Any], object]] = {
            **dict.fromkeys(_CONSTANTS, push),
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._put),
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda at: push(self._memo[at])),
            **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda _: self._call()),
            **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda _: self._extend(since_mark())),
            **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda _: None),
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            "MARK": lambda _: self._marks.append(len(self._stack)),
            "DUP": lambda _: push(self._top()),
            "POP": lambda _: self._drop(),
            "POP_MARK": lambda _: since_mark(),
            "NONE": lambda _: push(None),
            "NEWTRUE": lambda _: push(True),
            "NEWFALSE": lambda _: push(False),
            "EMPTY_TUPLE": lambda _: push(()),
            "TUPLE": lambda _: push(tuple(since_mark())),
            "TUPLE1": lambda _: push((pop(),)),
            "TUPLE2": lambda _: push((pop(), pop())[::-1]),
            "TUPLE3": lambda _: push((pop(), pop(), pop())[::-1]),
            "EMPTY_LIST": lambda _: push([]),
            "LIST": lambda _: push(since_mark()),
            "EMPTY_DICT": lambda _: push(Entries()),
            "DICT": lambda _: push(Entries(_pairs(since_mark()))),
            "EMPTY_SET": lambda _: push(Made("set", ())),
            "FROZENSET": lambda _: push(Made("frozenset", since_mark())),
            "APPEND": lambda _: self._extend([pop()]),
            "SETITEM": lambda _: self._fill([(pop(), pop())[::-1]]),
            "SETITEMS": lambda _: self._fill(_pairs(since_mark())),
            "GLOBAL": lambda said: push(Named(*said.split(" ", 1))),
            "STACK_GLOBAL": lambda _: push(_named(*(pop(), pop())[::-1])),
            "NEWOBJ_EX": lambda _: push(Made(*self._call_by_name())),
            "OBJ": lambda _: push(self._called(since_mark())),
            "INST": lambda said: push(Made(Named(*said.split(" ", 1)), since_mark())),
            "BUILD": lambda _: self._build(),
            "BINPERSID": lambda _: push(Made("persistent id", pop())),  # torch's storages
        }
        self._by_opcode = by_opcode

    def run(self, data: bytes) -> object:
        """Run all opcodes up to STOP; returns the value that is then on top of the stack."""
        by_opcode = self._by_opcode
        for opcode, argument in _opcodes(data):
            # Persistent ids as text, extension codes and out-of-band buffers raise a KeyError.
            by_opcode[opcode](argument)
        return self._pop()

    def _put(self, at: int) -> None:
        self._memo[at] = self._top()

    def _drop(self) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._pop()

    def _call(self) -> None:
        arguments, by = self._pop(), self._pop()
        self._stack.append(Made(by, arguments))

    def _call_by_name(self) -> tuple[object, object]:
        keywords, arguments, by = self._pop(), self._pop(), self._pop()
        return by, (arguments, keywords)

    @staticmethod
    def _called(values: list[Any]) -> Made:
        by, *arguments = values
        return Made(by, arguments)

    def _build(self) -> None:
        state, target = self._pop(), self._top()
        if isinstance(target, Made):
            target.state = state

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(values)

    def _fill(self, pairs: list[tuple[object, object]]) -> None:
        target = self._top()
        if isinstance(target, Made):
            if target.items is None:
                target.items = Entries()
            target = target.items
        if isinstance(target, Entries):
            target.pairs.extend(pairs)

    def _top(self) -> Any:
        if not self._stack or (self._marks and self._marks[-1] == len(self._stack)):
            raise UnknownPickleError("it takes more values than it has put on its stack")
        return self._stack[-1]

    def _pop(self) -> Any:
        value = self._top()
        del self._stack[-1]
        return value

    def _since_mark(self) -> list[Any]:
        mark = self._marks.pop()
        values = self._stack[mark:]
        del self._stack[mark:]
        return values


def _named(module: object, name: object) -> Named:
    """A `Named` of two strings. Raises UnknownPickleError for other objects.

    To show a tuple that holds a tuple twice, n levels deep, would take 2**n characters.
    """
    if type(module) is not str or type(name) is not str:
        raise UnknownPickleError("what it would import has no name")
    return Named(module, name)


def _pairs(values: list[Any]) -> list[tuple[object, object]]:
    return list(zip(values[::2], values[1::2], strict=True))


def _opcodes(data: bytes) -> Iterator[tuple[str, Any]]:
    """The name and the argument of each opcode.

    Raises UnknownPickleError once all of them together may take more than 320 MiB.
    """
    import pickletools  # takes 3 ms, and few checkpoints need it

    spent = 0
    for opcode, argument, _ in pickletools.genops(data):
        spent += _BYTES_AN_OPCODE
        if isinstance(argument, str | bytes | bytearray):
            spent += _BYTES_A_CHARACTER * len(argument)
        if spent > _MOST_BYTES:
            raise UnknownPickleError("it holds too much")
        yield opcode.name, argument

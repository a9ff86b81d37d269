"""The values in a pickle, read by an interpreter that imports, calls, hashes and compares nothing.

`pickle.Unpickler` with a harmless `find_class` still hashes keys, and a tuple of tuples of tuples
takes a hash for ever. Here there is nothing that a pickle could run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# An object, its place on the stack and in the memo (CPython 3.11); texts of up to 4 bytes a
# character, beside the bytes that they came from.
_BYTES_AN_OPCODE = 150
_BYTES_A_CHARACTER = 5
_MOST_BYTES = 320 << 20


class UnknownPickleError(ValueError):
    """It is no pickle, or one that is not read here: too large, or of opcodes nobody needs."""


class Named(NamedTuple):
    """What a pickle would import."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class Made:
    """What a pickle would make by a call: of what, from what, and the state given to it then.

    `items`: what was put into it by key (an OrderedDict's).
    """

    by: object
    arguments: object
    state: object = None
    items: "Entries | None" = None

    def fields(self) -> dict[str, object]:
        """Its attributes by the state, as dataclasses have it: a dict, or that beside the slots."""
        states = self.state if isinstance(self.state, tuple) else (self.state,)
        found: dict[str, object] = {}
        for state in states:
            if isinstance(state, Entries):
                found.update((key, value) for key, value in state.pairs if type(key) is str)
        return found


@dataclass(slots=True, eq=False)
class Entries:
    """A dict, in the order in which it was filled; its keys are not hashed."""

    pairs: list[tuple[object, object]] = field(default_factory=list)


def read_pickle(data: bytes) -> object:
    """The value, made of None, numbers, texts, lists, tuples, `Entries`, `Made` and `Named`.

    Raises UnknownPickleError.
    """
    import warnings

    try:
        with warnings.catch_warnings():
            # Of an escape in a protocol 0 string: it is nobody's program that is read here.
            warnings.simplefilter("ignore")
            return _Machine().run(data)
    except UnknownPickleError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UnknownPickleError(str(error)) from error


class _Machine:
    """The stack machine of the pickle format, without what makes it dangerous."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        # A dict: an index of 2**32 takes no more than another.
        self._memo: dict[int, object] = {}

    def run(self, data: bytes) -> object:
        """All opcodes up to STOP: the value on the top then."""
        for opcode, argument in _opcodes(data):
            if opcode in _CONSTANTS:
                self._stack.append(argument)
            else:
                self._take(opcode, argument)
        return self._pop()

    def _take(self, opcode: str, argument: Any) -> None:
        match opcode:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                self._marks.append(len(self._stack))
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._top()
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self._top()
            case "GET" | "BINGET" | "LONG_BINGET":
                self._stack.append(self._memo[argument])
            case "DUP":
                self._stack.append(self._top())
            case "POP_MARK":
                self._since_mark()
            case "POP":
                if self._marks and self._marks[-1] == len(self._stack):
                    self._marks.pop()
                else:
                    self._pop()
            case _:
                self._make(opcode, argument)

    def _make(self, opcode: str, argument: Any) -> None:
        push = self._stack.append
        match opcode:
            case "NONE":
                push(None)
            case "NEWTRUE" | "NEWFALSE":
                push(opcode == "NEWTRUE")
            case "EMPTY_TUPLE":
                push(())
            case "TUPLE":
                push(tuple(self._since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple(reversed([self._pop() for _ in range(int(opcode[-1]))])))
            case "EMPTY_LIST":
                push([])
            case "LIST":
                push(self._since_mark())
            case "EMPTY_DICT":
                push(Entries())
            case "DICT":
                push(Entries(_pairs(self._since_mark())))
            case "EMPTY_SET":
                push(Made("set", ()))
            case "FROZENSET":
                push(Made("frozenset", self._since_mark()))
            case "GLOBAL":
                push(Named(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = self._pop(), self._pop()
                push(Named(str(module), str(name)))
            case _:
                self._call_or_fill(opcode, argument)

    def _call_or_fill(self, opcode: str, argument: Any) -> None:
        push = self._stack.append
        match opcode:
            case "APPEND":
                self._extend([self._pop()])
            case "APPENDS" | "ADDITEMS":
                self._extend(self._since_mark())
            case "SETITEM":
                value, key = self._pop(), self._pop()
                self._fill([(key, value)])
            case "SETITEMS":
                self._fill(_pairs(self._since_mark()))
            case "REDUCE" | "NEWOBJ":
                arguments, by = self._pop(), self._pop()
                push(Made(by, arguments))
            case "NEWOBJ_EX":
                keywords, arguments, by = self._pop(), self._pop(), self._pop()
                push(Made(by, (arguments, keywords)))
            case "OBJ":
                by, *arguments = self._since_mark()
                push(Made(by, arguments))
            case "INST":
                push(Made(Named(*argument.split(" ", 1)), self._since_mark()))
            case "BUILD":
                state, target = self._pop(), self._top()
                if isinstance(target, Made):
                    target.state = state
            case _:
                # Persistent ids, extension codes, buffers that lie elsewhere.
                raise UnknownPickleError(f"{opcode} stands in it")

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
            raise UnknownPickleError("it takes more than it has")
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


_CONSTANTS = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
)


def _pairs(values: list[Any]) -> list[tuple[object, object]]:
    return list(zip(values[::2], values[1::2], strict=True))


def _opcodes(data: bytes) -> Iterator[tuple[str, Any]]:
    """Name and argument of each, as long as all of them together may take that much memory."""
    import pickletools  # 3 ms that few checkpoints need

    spent = 0
    for opcode, argument, _ in pickletools.genops(data):
        spent += _BYTES_AN_OPCODE
        if isinstance(argument, str | bytes | bytearray):
            spent += _BYTES_A_CHARACTER * len(argument)
        if spent > _MOST_BYTES:
            raise UnknownPickleError("it holds too much")
        yield opcode.name, argument

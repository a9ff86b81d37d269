"""Reads Python tracebacks in one process's lines: each chain of exceptions, its root first.

It knows how tracebacks are printed: interleaved ranks, chains, groups, re-raised worker errors. It
gives exceptions no meaning. It makes one pass with a small state, and never raises.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto

from supervisor.diagnosis.step_line import read_step
from supervisor.diagnosis.traceback_frames import BOX, FRAME, Frame, drawn_frame

HEADER = "Traceback (most recent call last)"
_DIRECT = "The above exception was the direct cause of the following exception"
_CONTEXT = "During handling of the above exception, another exception occurred"

# A stream without labels mixes ranks: at most so many foreign lines may stand inside a traceback.
_FOREIGN_LINES_MAX = 40
_DETAIL_LINES_MAX = 12
_SCRIPT_LINES_MAX = 4
# The outermost frames say what was being done, the innermost where it failed.
_OUTER_FRAMES_MAX = 30
_INNER_FRAMES_MAX = 30

# Exceptions whose message is the traceback of another process, without a header.
_CARRIES_TRACEBACK = re.compile(r"RayTaskError\(|RemoteTraceback|RemoteError")
EXCEPTION = re.compile(
    r"((?:[A-Za-z_]\w{0,99}\.){0,12}[A-Za-z_]\w{0,99})(?:\(\w{1,99}\))?(?::(?: .*)?)?$"
)
_MARGIN = re.compile(r" {0,80}(?:\+-)?[|+] ?")
_SEPARATOR = re.compile(r" {0,80}(?:\| {0,80})?\+-(?:\+-)?-{4,}(?: (\d+) -{4,})?")
_MESSAGE_ENDS = ("", '"""')  # the quotes end a pool worker's traceback
_BROKEN_SCRIPT = ("SyntaxError", "IndentationError", "TabError")


@dataclass(frozen=True, slots=True)
class Raised:
    """One printed exception: its type as printed, its line, the innermost frame, further lines.

    `frames` are its calls, the outermost first. In a very deep traceback the middle ones are left
    out.
    """

    index: int
    exception: str
    line: str
    frame: str | None
    frame_line: str | None
    details: tuple[str, ...]
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """Exceptions that led to one another, the earliest root first.

    `start` is the number of its first line, `end` that of its last exception. `lines` are the
    numbers of all its lines, source text included. `lead` is the line before it.
    """

    raised: tuple[Raised, ...]
    stream: str
    lead: str
    start: int
    end: int
    lines: frozenset[int]


class _Link(Enum):
    """How the next traceback belongs to the exceptions before it."""

    NEXT = auto()  # the earlier exceptions led to it
    ROOT = auto()  # it led to them: an original traceback, or a group's first member


@dataclass(slots=True)
class _Open:
    """A traceback being read."""

    start: int
    link: _Link | None
    base: int | None = None
    frame: str | None = None
    frame_line: str | None = None
    foreign: int = 0
    lines_left: int | None = None
    raised_at: int | None = None
    exception: str = ""
    line: str = ""
    details: list[str] = field(default_factory=list)
    details_closed: bool = False
    frames: list[Frame] = field(default_factory=list)

    def enter(self, path: str, function: str) -> None:
        """Take the next call."""
        if len(self.frames) >= _OUTER_FRAMES_MAX + _INNER_FRAMES_MAX:
            del self.frames[_OUTER_FRAMES_MAX]
        self.frames.append(Frame(path, function))

    def note_source(self, text: str) -> None:
        """Take the source line of the last call; a line of `^` and `~` below it is ignored."""
        if self.frames and not self.frames[-1].source and text.strip("^~ "):
            self.frames[-1] = self.frames[-1]._replace(source=text)


@dataclass(slots=True)
class TracebackStream:
    """The state of one stream of lines; finished chains go to `done`."""

    name: str
    done: list[Chain]
    chain: list[Raised] = field(default_factory=list)
    lines: set[int] = field(default_factory=set)
    lead: str = ""
    start: int = 0
    end: int = 0
    open: _Open | None = None
    link: _Link | None = None
    previous: str = ""
    in_group: bool = False
    skips_group: bool = False

    def feed(self, index: int, body: str, is_stamped: bool) -> None:
        """Take the next line of this stream."""
        body = self._without_margin(index, body)
        if self.skips_group:
            return
        header = body.find(HEADER)
        if header >= 0 and not body.startswith("C++ "):
            self._begin(index, body, header)
        elif _DIRECT in body or _CONTEXT in body:
            self.close_open()
            self.link = _Link.NEXT if self.chain else None
            self.lines.add(index)
        elif self.open is None or self.open.raised_at is not None:
            self._between(index, body, is_stamped)
        else:
            self._inside(self.open, index, body)
        if body.strip():
            self.previous = body

    def _without_margin(self, index: int, body: str) -> str:
        if HEADER in body and "Exception Group" in body:
            self.in_group = True
        if not self.in_group:
            return body
        separator = _SEPARATOR.match(body)
        if separator is not None:
            # Only the group's first member is read, since it is the earliest.
            number = separator[1]
            self.skips_group = number is not None and number != "1"
            if number == "1":
                self.close_open()
                self.link = _Link.ROOT
                self.open = _Open(index, _Link.ROOT, base=0)
            return ""
        margin = _MARGIN.match(body)
        if margin is None:
            self.in_group = self.skips_group = False
            return body
        return body[margin.end() :]

    def _begin(self, index: int, body: str, header: int) -> None:
        is_original = "Original" in body[:header]
        link = _Link.ROOT if is_original and self._has_exception() else self.link
        if self.open is not None and self.open.raised_at is None and self.open.link is _Link.ROOT:
            link = _Link.ROOT
        self.close_open()
        if link is None:
            self.close_chain()
            self.lead = self.previous
        self.link = None
        self.open = _Open(index, link)
        self.lines.add(index)

    def _has_exception(self) -> bool:
        return bool(self.chain) or (self.open is not None and self.open.raised_at is not None)

    def _between(self, index: int, body: str, is_stamped: bool) -> None:
        frame = FRAME.match(body)
        if frame is not None and frame[3] is None and not self.in_group:
            # Python prints no header for a script that does not compile.
            lead = self.previous
            self.close_open()
            self.close_chain()
            self.lead = lead
            self.open = _Open(index, None, lines_left=_SCRIPT_LINES_MAX)
            self._inside(self.open, index, body)
            return
        if self._wraps_a_traceback() and (frame is not None or _is_raised(body)):
            self.close_open()
            self.open = _Open(index, _Link.ROOT)
            self._inside(self.open, index, body)
            return
        if self.open is None or self.open.details_closed:
            return
        is_over = body.strip() in _MESSAGE_ENDS or is_stamped or read_step(body) is not None
        if is_over or len(self.open.details) >= _DETAIL_LINES_MAX:
            self.open.details_closed = True
        else:
            self.open.details.append(body)

    def _wraps_a_traceback(self) -> bool:
        return (
            self.open is not None
            and self.open.raised_at is not None
            and _CARRIES_TRACEBACK.search(self.open.line) is not None
        )

    def _inside(self, current: _Open, index: int, body: str) -> None:
        if current.lines_left is not None:
            current.lines_left -= 1
        frame = FRAME.match(body)
        if frame is not None:
            current.base = max(len(frame[1]) - 2, 0)
            name = frame[2].rsplit("/", 1)[-1]
            function = (frame[3] or "<module>").strip()
            current.enter(frame[2], function)
            current.frame = f"{name}:{function}"
            current.frame_line = body.strip()
            self.lines.add(index)
            return
        text = body.strip()
        drawn = drawn_frame(text)
        if drawn is not None:
            current.enter(drawn.path, drawn.function)
            current.frame = f"{drawn.path.rsplit('/', 1)[-1]}:{drawn.function}"
            current.frame_line = text.strip("│ ")
        if drawn is not None or text.startswith(BOX):
            self.lines.add(index)
            return
        indent = len(body) - len(body.lstrip(" "))
        if not text:
            return
        if indent > (current.base or 0):
            current.note_source(text)
            self.lines.add(index)
        else:
            found = EXCEPTION.match(text)
            name = found[1] if found is not None else ""
            wanted = current.lines_left is None or name in _BROKEN_SCRIPT
            if _is_exception_name(name) and wanted:
                current.raised_at, current.exception, current.line = index, name, text
                self.lines.add(index)
                return
            current.foreign += 1
        if current.foreign > _FOREIGN_LINES_MAX or current.lines_left == 0:
            self.open = None

    def close_open(self) -> None:
        """Add the traceback just read, if it came to its exception, to the chain."""
        current, self.open = self.open, None
        if current is None or current.raised_at is None:
            return
        raised = Raised(
            current.raised_at,
            current.exception,
            current.line,
            current.frame or (self.chain[0].frame if self.chain and current.link else None),
            current.frame_line,
            tuple(current.details),
            tuple(current.frames),
        )
        if not self.chain:
            self.start = current.start
        self.end = current.raised_at
        if current.link is _Link.ROOT:
            self.chain.insert(0, raised)
        else:
            self.chain.append(raised)

    def close_chain(self) -> None:
        """Hand over the chain read so far."""
        if self.chain:
            self.done.append(
                Chain(
                    tuple(self.chain),
                    self.name,
                    self.lead,
                    self.start,
                    self.end,
                    frozenset(self.lines),
                )
            )
        self.chain, self.lines = [], set()


def _is_raised(body: str) -> bool:
    found = EXCEPTION.match(body)
    return found is not None and found[1].endswith(("Error", "Exception"))


def _is_exception_name(name: str) -> bool:
    last = name.rsplit(".", 1)[-1]
    return last[:1].isupper() or ("." in name and last.endswith(("error", "timeout", "exception")))

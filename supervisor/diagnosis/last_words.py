"""Whether a log ends with a death, whatever the exit code says: `python … | tee` exits with 0.

The last words are an unhandled traceback, or an interpreter's fatal error. Or a shell says that a
signal ended its command, or Python says that a program could not begin.

It must not say why the process died: `diagnose` does. A traceback that Python survives (a thread's,
an ignored one) does not count. One that a logger reports counts only if it reaches the program's
outermost call.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from supervisor.diagnosis.calls import is_outermost_call
from supervisor.diagnosis.line_prefix import split_prefix
from supervisor.diagnosis.log_line import clean, shows_going_on
from supervisor.diagnosis.python_traceback import find_chains
from supervisor.diagnosis.step_line import read_step
from supervisor.diagnosis.steps_after import StepsAfter
from supervisor.diagnosis.traceback_stream import EXCEPTION, HEADER, Chain

_LINES_MAX = 2000
# How many steps other ranks print before they notice that one has died.
_PEERS_STEPS = 3
# A script without `set -e` says "done" after its trainer has died.
_MORE_LINES_MAX = 5
_LEAD_LINES = 3
_SURVIVED = re.compile(
    r"^(?:Exception ignored|Exception in thread|Thread |Error in atexit|Error in sys\."
    r"|--- Logging error|Task exception was never|Exception in callback|future: <|handle: <)"
)
_TROUBLE = re.compile(r"\b(?:ERROR|CRITICAL|FATAL|WARN(?:ING)?)\b|[Ww]arning:")
_FIRST_FRAME = re.compile(r'File "([^"]{1,900})", line \d{1,9}, in (.{1,200})')
_BOX_TOP, _BOX_END, _BOX_ROOT = "╭", "╰", " in <module>"
# Lines that interpreters, loggers, launchers and shells print after a process has died.
_TRAILER = re.compile(
    r"^(?:wandb:|\W*(?:wandb|View run)\b|Exception ignored|sys:\d+: ResourceWarning"
    r"|.{0,300}resource_tracker|  ?warnings\.warn\(|\[?[WE]\d{4} |\[rank\d+\]:\[W"
    r"|srun: |slurmstepd: |mpirun |prterun |Primary job |-{3,}|={3,}"
    r"|(?:\S{1,200}: )?line \d+: +\d+ "
    r"|(?:\S{1,80}: )?(?:Killed|Terminated|Aborted|Segmentation|Bus error)\b"
    r"|make(?:\[\d+\])?: \*\*\*|Command exited with|(?:real|user|sys)\s+\d+m|exit(?:ed)? code"
    r"|terminate called|  what\(\):|ERROR conda\.cli)",
)
# Further lines of an exception's message, as torch and NCCL word them.
_MESSAGE = re.compile(
    r"^(?:\s{2,}\S|CUDA kernel errors might|For debugging consider|Compile with `TORCH_USE"
    r"|Last error:|nccl\w+Error:|Search for `?cuda)"
)
_DEATHS = {"Killed": 137, "Segmentation fault": 139, "Bus error": 135, "Aborted": 134}
_DEATH = re.compile(rf"(?:\bline \d{{1,9}}|^\S{{1,80}}): +\d{{1,9}} ({'|'.join(_DEATHS)})\b")
# dash prints only this, on a line of its own.
_BARE_DEATHS = {**_DEATHS, "Terminated": 143}
_BARE_DEATH = re.compile(rf"\s*({'|'.join(_BARE_DEATHS)})(?: \(core dumped\))?\s*")
# Messages of Python, or of a shell that finds no Python, about a program that never began.
_USAGE = re.compile(r"^[Uu]sage: ")
_USAGE_ERROR = re.compile(r"^(?:\S.{0,200}: error: |Error: )\S")
_USAGE_LINES_MAX = 300
_NO_START = re.compile(
    r"^\S{0,300}python[\d.]*: (?:can't open file '|No module named |Error while finding module)"
)
_NO_PYTHON = re.compile(r"\bpython[\d.]*: (?:command )?not found\s*$")
_FATAL = re.compile(r"^Fatal Python error: (.{0,200})")
_FATAL_STACK = re.compile(
    r"^(?:\s|Thread |Current thread|Extension modules:|Python runtime state|<no Python frame>"
    r"|Traceback |Binary file|(?:\w{1,40}\.){0,9}\w{0,60}(?:Error|Exception)\b)"
)
_USAGE_CODE, _NOT_FOUND_CODE = 2, 127
_WORDS_CHARS = 200
_BAR = re.compile(r"\d{1,3}%\||\d+it \[\d")


class Unhandled(NamedTuple):
    """The line that tells of a death. `is_certain`: the trainer cannot have survived it.

    A traceback is certain if it reaches the outermost call, no logger reported it and nothing of
    note follows. `code`: the end that a shell or Python tells of, as a shell's exit code; None for
    a traceback.
    """

    line: str
    is_certain: bool
    code: int | None = None

    @property
    def words(self) -> str:
        """The log's last words, as a sentence."""
        what = "an unhandled traceback" if self.code is None else "a shell's, of a death"
        if self.code in (_USAGE_CODE, _NOT_FOUND_CODE):
            what = "that the program did not start"
        elif self.line.startswith("Fatal Python"):
            what = "an interpreter's, of its death"
        return f"its last words are {what}: {self.line[:_WORDS_CHARS]}"


def find_unhandled(lines: Sequence[str], *, has_begun: bool = False) -> Unhandled | None:
    """The death with which raw `lines`, oldest first, end; None where they tell of none.

    `has_begun`: training made a step. So a message that a program never began is not the trainer's.
    """
    text = [clean(piece) for line in lines[-_LINES_MAX:] for piece in _pieces(line)]
    found = _in_a_box(text) or _plain(text) or _fatal(text, has_begun=has_begun)
    if found is None and not has_begun:
        found = _never_began(text)
    return found or _told_by_a_shell(text)


def _pieces(line: str) -> list[str]:
    return [piece for piece in line.replace("\r", "\n").split("\n") if piece]


def _plain(text: Sequence[str]) -> Unhandled | None:
    chains = find_chains(text)
    fatal = [chain for chain in chains if not _is_survived(chain, text)]
    last = max(fatal, key=lambda chain: chain.end, default=None)
    if last is None:
        return None
    raised = last.raised[-1]
    if raised.exception in ("SystemExit", "GeneratorExit"):
        return None
    begin = _begin_of_last(last, text)
    label = _label(text[begin])
    inside = frozenset[int]().union(*(chain.lines for chain in chains))
    after = [i for i in range(_end_of_message(text, last.end), len(text)) if i not in inside]
    more = _what_follows(text, after, label)
    is_peer = bool(last.stream)
    steps = StepsAfter(text, last.start).count(last.end)
    if more is None or steps > (_PEERS_STEPS if is_peer else 0):
        return None
    is_root = _is_root(text, begin, last.end)
    is_reported = begin > 0 and _TROUBLE.search(text[begin - 1], 0, 160) is not None
    if is_reported and not is_root:
        return None
    return Unhandled(raised.line, is_certain=is_root and not is_reported and more == 0)


def _told_by_a_shell(text: Sequence[str]) -> Unhandled | None:
    """A shell's word that a signal ended its command.

    It is never certain: a script may end other commands by a signal.
    """
    last = next((line for line in reversed(text) if line.strip()), "")
    bare = _BARE_DEATH.fullmatch(last)
    if bare is not None:
        return Unhandled(last.strip(), False, _BARE_DEATHS[bare[1]])
    for index in reversed(range(len(text))):
        found = _DEATH.search(text[index])
        if found is not None:
            more = _what_follows(text, range(index + 1, len(text)), "")
            code = _DEATHS[found[1]]
            return None if more is None else Unhandled(text[index].strip(), False, code)
    return None


def _fatal(text: Sequence[str], *, has_begun: bool) -> Unhandled | None:
    """An interpreter's fatal error, if only its stack follows."""
    for index in reversed(range(len(text))):
        found = _FATAL.match(split_prefix(text[index]).body)
        if found is None:
            continue
        after = range(index + 1, len(text))
        noted = [i for i in after if not _FATAL_STACK.match(split_prefix(text[i]).body)]
        if _what_follows(text, noted, "") != 0:
            return None
        code = next((_DEATHS[name] for name in _DEATHS if found[1].startswith(name)), 134)
        return Unhandled(found[0].strip(), not has_begun, code)
    return None


def _never_began(text: Sequence[str]) -> Unhandled | None:
    """The very last words, if they are a usage error, a missing file or module, or no Python."""
    for index in reversed(range(len(text))):
        body = split_prefix(text[index]).body
        if not body.strip() or _TRAILER.match(body) is not None:
            continue
        if _NO_START.match(body) is not None:
            return Unhandled(body.strip(), True, _USAGE_CODE)
        if _NO_PYTHON.search(body) is not None:
            return Unhandled(body.strip(), True, _NOT_FOUND_CODE)
        before = text[max(index - _USAGE_LINES_MAX, 0) : index]
        is_usage = any(_USAGE.match(split_prefix(line).body) for line in before)
        if is_usage and _USAGE_ERROR.match(body) is not None:
            return Unhandled(body.strip(), True, _USAGE_CODE)
        return None
    return None


def _is_survived(chain: Chain, text: Sequence[str]) -> bool:
    before = text[max(chain.start - _LEAD_LINES, 0) : chain.start]
    return any(_SURVIVED.match(split_prefix(line).body) for line in (*before, chain.lead))


def _begin_of_last(chain: Chain, text: Sequence[str]) -> int:
    """The number of the header line of the chain's last traceback, which nothing caught."""
    headers = [i for i in range(chain.start, chain.end + 1) if HEADER in text[i]]
    return headers[-1] if headers else chain.start


def _end_of_message(text: Sequence[str], end: int) -> int:
    """The first line behind an exception's message.

    Further lines of a message are indented, or match `_MESSAGE`.
    """
    index = end + 1
    while index < len(text) and _MESSAGE.match(split_prefix(text[index]).body) is not None:
        index += 1
    return index


def _label(header: str) -> str:
    """The label that a filter (`sed`, `srun -l`) puts before each line, read off the header."""
    body = split_prefix(header).body
    at = body.find(HEADER)
    return body[:at] if at > 0 else ""


def _what_follows(text: Sequence[str], after: Sequence[int], label: str) -> int | None:
    """How many lines of note follow; None for too many, or where training goes on."""
    more = 0
    for index in after:
        prefix = split_prefix(text[index])
        body = prefix.body.removeprefix(label).rstrip()
        if not body or _TRAILER.match(body) is not None or _BAR.search(body) is not None:
            continue
        if shows_going_on(body, is_stamped=prefix.is_stamped) or read_step(body) is not None:
            return None
        more += 1
    return more if more <= _MORE_LINES_MAX else None


def _is_root(text: Sequence[str], begin: int, end: int) -> bool:
    """Whether a traceback begins at an outermost call, above which nothing can catch it."""
    for index in range(begin, end + 1):
        frame = _FIRST_FRAME.search(text[index])
        if frame is not None:
            return is_outermost_call(frame[1], frame[2].strip())
    return True  # a script that does not compile has no frame


def _in_a_box(text: Sequence[str]) -> Unhandled | None:
    """The last words as rich prints them: a box around the frames, the exception below it."""
    end = next((i for i in reversed(range(len(text))) if _BOX_END in text[i]), None)
    if end is None or end + 1 >= len(text):
        return None
    begin = next(
        (i for i in reversed(range(end)) if _BOX_TOP in text[i] and HEADER in text[i]), None
    )
    line = text[end + 1].strip()
    if begin is None or EXCEPTION.match(line) is None:
        return None
    more = _what_follows(text, range(end + 2, len(text)), "")
    if more is None or StepsAfter(text, begin).count(end) > 0:
        return None
    is_root = any(_BOX_ROOT in frame for frame in text[begin:end])
    return Unhandled(line, is_certain=is_root and more == 0)

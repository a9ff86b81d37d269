"""Takes one log line apart; it must not name failures.

It gives the text without control sequences, the process that wrote it, a finished step, and whether
the writer survived a problem.
"""

import re
from typing import NamedTuple

# Longer lines are cut in the middle: an error names itself at the start, its cause at the end.
HEAD_CHARS = 1500
TAIL_CHARS = 500

_CONTROL = re.compile(
    r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)"  # OSC: titles, links
    r"|\x1b[@-Z\\-_]"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
_PREFIX = re.compile(
    r"(?P<rank>\[rank\d{1,6}\]:? ?|\[default\d{1,6}\]:? ?|\[\d{1,6},\d{1,6}\]<std(?:err|out)>:? ?"
    r"|\(\w[\w.]{0,60} pid=\d{1,9}(?:, ip=[\d.:]{1,40})?\) ?|\[Rank \d{1,6}\]:? | {0,5}\d{1,5}: )"
    r"|(?P<stamp>\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]?"
    r"(?: ?\|| -|:)? ?|\[?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]? |\[ {0,6}\d{1,9}\.\d{3,9}\] "
    # moreutils' `ts` has no host behind its time.
    r"|[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d"
    r" (?=Traceback \(|  |[\w.]{0,80}(?:Error|Exception):)"
    r"|[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d \S{1,80} )"
)
_BAR = re.compile(
    r"(?<![\d/])(\d{1,12})/(\d{1,12}) \[\d\d:\d\d|\bEpoch:? .{0,40}?\b(\d{1,9})/(\d{1,9})\b"
)
_STEP = re.compile(
    r"\b(?:global_?)?(?:step|iter|iteration|it)s?['\"]?\s{0,4}[=:#]?\s{0,4}\[?\s{0,8}(\d{1,12})"
    r"|['\"](?:loss|train_loss)['\"]: ?['\"]?-?\d",  # transformers prints no step
    re.IGNORECASE,
)
_NO_STEP = re.compile(
    r"error|fail|exception|abort|stopp|interrupt|resum|restor|load|traceback|fatal|wandb:"
    r"|killed|timed? ?out|xid|watchdog|nccl|assert|\bat (?:step|iter)|infinite|became",
    re.IGNORECASE,
)
# NCCL's errors end with "run with NCCL_DEBUG=INFO for details".
_LEVEL = re.compile(
    r"(?<!NCCL )(?<!_DEBUG=)\b(?:WARN(?:ING)?|INFO|DEBUG|NOTICE)\b|Warning:|\bwarning:"
)
_TROUBLE_LEVEL = re.compile(r"\b(?:ERROR|CRITICAL|FATAL)\b")
_SURVIVED = re.compile(
    r"\b(?:retry(?:ing)?|retried|retries left|recovered|continuing|continues|skipp(?:ed|ing)"
    r"|ignor(?:ed|ing)|try(?:ing)? again|going on|carrying on|falling back|non-?fatal"
    r"|attempt \d+(?: of |/)\d+)\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:might|may|could|can) (?:also )?(?:be|have been) (?:caused by|due to|the result of)"
    r"|asynchronously reported|\bpossible (?:causes|reasons)\b",
    re.IGNORECASE,
)


class LinePrefix(NamedTuple):
    """A line taken apart: the label of its process ("" without one), the rest, and a time stamp."""

    stream: str
    body: str
    is_stamped: bool


def clean(line: str) -> str:
    """The line without control sequences, line ends and tabs, at most 2,005 characters."""
    if len(line) > 8 * HEAD_CHARS:
        line = line[: 6 * HEAD_CHARS] + line[-2 * HEAD_CHARS :]
    if not line.isprintable():
        line = _CONTROL.sub("", line).replace("\t", "    ").rstrip("\r\n")
    if len(line) > HEAD_CHARS + TAIL_CHARS:
        line = f"{line[:HEAD_CHARS]} ... {line[-TAIL_CHARS:]}"
    return line


def split_prefix(text: str) -> LinePrefix:
    """Take rank labels (torch, torchrun, srun -l, mpirun, ray) and time stamps off a line."""
    stream, position, is_stamped = "", 0, False
    for _ in range(4):
        found = _PREFIX.match(text, position)
        if found is None:
            break
        if found["rank"] is not None:
            stream += found["rank"].strip()
        else:
            is_stamped = True
        position = found.end()
    return LinePrefix(stream, text[position:], is_stamped)


class StepMark(NamedTuple):
    """A sign that training advanced: a number, comparable with others of the same `kind`."""

    kind: str
    number: int


def read_step(text: str) -> StepMark | None:
    """The step or progress bar in a line; None where the line also speaks of trouble."""
    bar = _BAR.search(text)
    found = _STEP.search(text) if bar is None else None
    if (bar is None and found is None) or _NO_STEP.search(text) is not None:
        return None
    if bar is not None:
        return StepMark("bar of " + (bar[2] or bar[4]), int(bar[1] or bar[3]))
    assert found is not None
    return StepMark("step", int(found[1])) if found[1] else StepMark("loss", 0)


def shows_going_on(text: str, *, is_stamped: bool) -> bool:
    """Whether the writer of this line is at work: it is a step, or an ordinary log record."""
    if _TROUBLE_LEVEL.search(text, 0, 160) is not None:
        return False
    return is_stamped or _LEVEL.search(text, 0, 160) is not None or read_step(text) is not None


def tells_survival(text: str) -> bool:
    """Whether the writer went on: the line is a warning or a retry. NCCL's WARN does not count."""
    return _LEVEL.search(text, 0, 160) is not None or _SURVIVED.search(text) is not None


def without_hedge(text: str) -> str:
    """The line up to "might be caused by": the text behind it is a guess."""
    found = _HEDGE.search(text)
    return text if found is None else text[: found.start()]


def plain_text(line: str) -> str:
    """What a rule's pattern sees of a line: no rank label, no time stamp, no guess behind it."""
    return without_hedge(split_prefix(line).body)

"""Takes one log line apart; it must not name failures.

It gives the text without control sequences, and whether the writer survived a problem. The label
before a line is read by `line_prefix`, the step in it by `step_line`.
"""

import re

from supervisor.diagnosis.line_prefix import split_prefix
from supervisor.diagnosis.step_line import read_step

# Longer lines are cut in the middle: an error names itself at the start, its cause at the end.
HEAD_CHARS = 1500
TAIL_CHARS = 500

_CONTROL = re.compile(
    r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)"  # OSC: titles, links
    r"|\x1b[@-Z\\-_]"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
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


def clean(line: str) -> str:
    """The line without control sequences, line ends and tabs, at most 2,005 characters."""
    if len(line) > 8 * HEAD_CHARS:
        line = line[: 6 * HEAD_CHARS] + line[-2 * HEAD_CHARS :]
    if not line.isprintable():
        line = _CONTROL.sub("", line).replace("\t", "    ").rstrip("\r\n")
    if len(line) > HEAD_CHARS + TAIL_CHARS:
        line = f"{line[:HEAD_CHARS]} ... {line[-TAIL_CHARS:]}"
    return line


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

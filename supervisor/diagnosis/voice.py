"""Whether a program speaks for itself in a line, or the words are quoted in other text.

A trainer prints samples, arguments and commit messages too. It judges by the text before the words.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto

from supervisor.diagnosis.line_memo import prefix_of, step_of
from supervisor.diagnosis.traceback_stream import EXCEPTION

_LOUD = re.compile(r"\b(?:ERROR|CRITICAL|FATAL|SEVERE)\b")
_SPEAKER = re.compile(
    r"^\W{0,8}(?:\[?[EF]\d{0,4}\b|what\(\)|terminate called|NVRM|kernel:|Fatal|fatal|FATAL|panic"
    r"|(?:slurmstepd|srun|salloc|mpirun|mpiexec|prterun|prun|raylet|bash|sh|cp|mv|tar|rsync|ld)\b"
    r"|Caused by|Caught|Original error|Last error|[Ee]rror\b|Exception\b|Failed\b|Unable\b"
    r"|Process \S{1,40}\b|INTERNAL|wandb: ERROR|Error)"
)
_NCCL = re.compile(
    r"ProcessGroup\w{2,12}\.cpp|\bNCCL (?:WARN|ERROR)\b|\bgloo\b"
    r"|\bnvidia-smi(?: failed| error|:)",
    re.I,
)
_WORD = re.compile(r"(?<![\w./:=-])[a-z]{2,}(?![\w./:=-])")
_PROSE = re.compile(
    r"\b(?:sample|text|prompt|generat\w{1,4}|completion|response|question|answer|query|example"
    r"|content|title|subject|commit|merge|HEAD|docs?|note|tip|help|hint|usage|see|say(?:s|ing)?"
    r"|said"
    r"|about|when|whenever|if|because|fix(?:es|ed)?|handl\w{1,4}|avoid\w{0,3}|prevent\w{0,3}|why"
    r"|how"
    r"|instead of|in case of|like|such as|e\.g\.|user|assistant|target|label|pred\w{0,8}|caption"
    r"|README|CHANGELOG|TODO|description|summary|test_\w+)\b",
    re.I,
)
# What separates the turns of a chat, in a printed sample.
_CHAT = re.compile(r"<\|[\w-]{2,30}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|<eos>")
_SAMPLE_LINES = 12
_SAMPLE_HEAD = re.compile(
    r"\W{0,8}(?:Q|A|Question|Answer|User|Human|Assistant|Prompt|Response|Input|Output|Instruction)"
    r"\b.{0,20}:(?! \d)"
    r"|\W{0,8}(?:\w{1,20} ){0,3}(?:samples?|generat(?:ed|ion)s?|completions?)\b"
    r"[^=]{0,60}[:>\-=]*\s*$"
    r"|.{0,60}\b(?:sample|generated|generation|completion)\b[^=]{0,40}[:>\-]{1,8}\s*$",
    re.I,
)
# A bar has no line end, so the next words stand behind it.
_BAR_END = re.compile(r"(?:it/s|s/it)[^\]]{0,300}\]\s*$")
_QUOTES = re.compile(r"[\"“”]|(?<![A-Za-z])'|'(?![A-Za-z])|`")
_ARGUMENT = re.compile(r"[\w-]{2,40}=[^=\s]{0,200}$|--[\w-]{1,40}[ =]?$|^\s*[#>$|]\s|^\s{0,8}[-*] ")


class Voice(Enum):
    """Who speaks in a line."""

    OWN = auto()
    """The program reports its own failure."""
    UNSURE = auto()
    QUOTED = auto()
    """The words are quoted, a sample or an argument."""


def is_sample_before(lines: Sequence[str], index: int) -> bool:
    """Whether one of the few lines before line `index` is the head of a printed sample."""
    for line in reversed(lines[max(index - _SAMPLE_LINES, 0) : index]):
        body = prefix_of(line).body
        if _SAMPLE_HEAD.match(body) is not None:
            return True
        if step_of(line) is not None:
            return False
    return False


def voice_of(text: str, start: int) -> Voice:
    """Who speaks the words that begin at column `start` of a line without labels."""
    before = text[:start]
    if _CHAT.search(text):
        return Voice.QUOTED
    if not before.strip() or _BAR_END.search(before) is not None:
        return Voice.OWN
    found = EXCEPTION.match(text)
    if found is not None and found[1].endswith(("Error", "Exception", "Exceeded", "Exit")):
        return Voice.OWN
    if _LOUD.search(before, 0, 160) or _SPEAKER.match(before) or _NCCL.search(before):
        return Voice.OWN
    if len(_QUOTES.findall(before)) % 2 == 1 or _ARGUMENT.search(before):
        return Voice.QUOTED
    if _PROSE.search(before) is not None:
        return Voice.QUOTED
    return Voice.OWN if len(_WORD.findall(before)) <= 1 else Voice.UNSURE

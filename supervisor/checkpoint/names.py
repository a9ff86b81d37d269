"""Reading a checkpoint's name: trainers number checkpoints by step or by epoch. No file is read."""

from collections.abc import Container
from itertools import chain

from supervisor.checkpoint.by_products import is_by_product
from supervisor.checkpoint.formats.name_rule import (
    BestWord,
    CheckpointName,
    NameRule,
    SharedName,
    compiled,
    first_match,
)
from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.name_pattern import step_text
from supervisor.checkpoint.suffixes import SINGLE_FILE_SUFFIXES

# A directory named by a bare number is a checkpoint if it holds any of these files.
MARKS = tuple(chain.from_iterable(tool.marks for tool in TOOLS))
# A tool adds its own endings here. `.zip` and `.tar` alone would not tell a checkpoint.
_KNOWN_FILE_SUFFIXES = (
    *SINGLE_FILE_SUFFIXES,
    *chain.from_iterable(tool.file_endings for tool in TOOLS),
)
_TORCHS = r"\.(?:pt|pth|ckpt|safetensors)"
# Names that trainers of all kinds use.
_ANYBODYS = (
    NameRule("ckpt", r"ckpt[-_]?(?P<step>\d+)" + _TORCHS, "periodic"),
    NameRule("checkpoint", r"checkpoint[-_]?(?P<step>\d+)" + _TORCHS, "periodic"),
)
_ANYBODYS_FREE = (
    ("step", r"steps?[-_=]?(?P<step>\d+)\.(?:pt|pth|ckpt|safetensors|bin)", "periodic"),
    ("iter", r"iter[-_=]?(?P<step>\d+)" + _TORCHS, "periodic"),
    ("epoch", r"epochs?[-_=]?(?P<epoch>\d+)" + _TORCHS, "epoch"),
)
# First match wins.
_RULES = (
    *chain.from_iterable(tool.names for tool in TOOLS),
    *_ANYBODYS,
    *(
        NameRule(part, r"(?:.*[-_.])?" + rest, kind, is_free=True)
        for part, rest, kind in _ANYBODYS_FREE
    ),
)
_EVEN_BEST = tuple(rule for rule in _RULES if rule.best is not BestWord.NO_CHECKPOINT)
_OTHERS = tuple(rule for rule in _RULES if rule not in _EVEN_BEST and not rule.is_free)
_FREE = tuple(rule for rule in _RULES if rule.is_free)
_SHARED = tuple(rule for rule in _RULES if rule.shared is not None)
_OF_THE_USERS = tuple(rule for rule in _RULES if rule.best is BestWord.NOTHING)
# `best` as a word: `model_best`, `best-3`, `modelBest`, `BEST.pt`; not `bestiary`.
_BEST = r"(?<![A-Za-z])[Bb]est(?![a-z])|(?<=[a-z])Best(?![a-z])|(?<![A-Za-z])BEST(?![A-Za-z])"


def parse_name(name: str, pattern: str | None = None) -> CheckpointName | None:
    """Return what a checkpoint's name says; None for a name that no trainer gives a checkpoint.

    `pattern`: the user's own regular expression for whole names, with a group `step`. A name that
    it does not match is read as a known trainer's name.
    """
    own = None if pattern is None else parse_by_pattern(name, pattern)
    if own is not None:
        return own
    found = first_match(_EVEN_BEST, name)
    if found is not None or is_best_name(name):
        return found
    found = first_match(_OTHERS, name)
    return found if found is not None or is_by_product(name) else first_match(_FREE, name)


def shared_name(name: str) -> SharedName | None:
    """Return what tells a checkpoint from an evaluation that uses the same name: `epoch_3`.

    None for a name that no evaluation is known to use.
    """
    fitting = (rule for rule in _SHARED if compiled(rule.pattern).fullmatch(name) is not None)
    return next((rule.shared for rule in fitting), None)


def parse_by_pattern(name: str, pattern: str) -> CheckpointName | None:
    """Read a name with the user's pattern. None if the pattern does not match the whole name.

    If the group `step` matches nothing, the name is a checkpoint's and its step is unknown. If the
    group matches anything but a number of at most 18 digits, the answer is None, too.
    """
    digits = step_text(name, pattern)
    if digits is None:
        return None
    if not digits:
        return CheckpointName(None, None, None)
    is_step = digits.isdecimal() and len(digits) <= 18
    return CheckpointName(int(digits), None, "periodic") if is_step else None


def parse_marked(name: str, files: Container[str]) -> CheckpointName | None:
    """Read the name of a directory that is a bare number, as orbax names its checkpoints.

    None if no file in it marks it as a checkpoint. `files`: names relative to the directory.
    """
    if not _is_number(name) or not any(mark in files for mark in MARKS):
        return None
    return CheckpointName(int(name), None, "periodic")


def may_be_checkpoint(name: str, pattern: str | None = None) -> bool:
    """Whether a checkpoint may have this name: a bare number, or a name that `parse_name` reads."""
    return _is_number(name) or parse_name(name, pattern) is not None


def has_file_suffix(name: str) -> bool:
    """Whether a name ends like a known trainer's single file; the file `checkpoint-10` does not."""
    return name.endswith(_KNOWN_FILE_SUFFIXES)


def is_checkpoint_name(name: str, pattern: str | None, *, is_directory: bool) -> bool:
    """Whether a file or directory of this name is a checkpoint by its name alone."""
    if pattern is not None and parse_by_pattern(name, pattern) is not None:
        return True
    return parse_name(name) is not None and (is_directory or has_file_suffix(name))


def is_best_name(name: str) -> bool:
    """Whether the word `best` in a name calls the checkpoint the best: it is never pruned.

    False if the word belongs to the user's name for the model, as in kohya's `my-best-lora-state`.
    """
    if "best" not in name.lower() or first_match(_OF_THE_USERS, name) is not None:
        return False
    return compiled(_BEST).search(name) is not None


def series(name: str) -> str:
    """Return what the names of one trainer's checkpoints share, `#` for numbers: `checkpoint-#`."""
    return compiled(r"\d+").sub("#", name)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= 18


def parse_step(name: str) -> tuple[str, int] | None:
    """Return `("step", N)` if a name says the step, else `("epoch", E)` if it says the epoch.

    None if it says neither. E is the epoch's index from 0: `checkpoint-epoch-118` holds epoch 117.
    """
    parsed = parse_name(name)
    if parsed is None:
        return None
    if parsed.step is not None:
        return "step", parsed.step
    return ("epoch", parsed.epoch) if parsed.epoch is not None else None

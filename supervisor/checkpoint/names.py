"""What a checkpoint's name says: trainers number theirs by step or by epoch. It reads no file."""

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

# Files that make a checkpoint of a directory which a number names.
MARKS = tuple(chain.from_iterable(tool.marks for tool in TOOLS))
# `.zip` and `.tar` alone would be anybody's.
_KNOWN_FILE_SUFFIXES = (
    *SINGLE_FILE_SUFFIXES,
    *chain.from_iterable(tool.file_endings for tool in TOOLS),
)
_TORCHS = r"\.(?:pt|pth|ckpt|safetensors)"
# What no tool has as its own.
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
    """What a checkpoint's name says; None for a name that no trainer gives to a checkpoint.

    `pattern`: the user's own regular expression for whole names, with a group `step`; names that
    it does not match are read as those of known trainers all the same.
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
    """What tells a checkpoint where evaluations give its directory's name, too: `epoch_3`.

    None for a name that only checkpoints have.
    """
    fitting = (rule for rule in _SHARED if compiled(rule.pattern).fullmatch(name) is not None)
    return next((rule.shared for rule in fitting), None)


def parse_by_pattern(name: str, pattern: str) -> CheckpointName | None:
    """What the user's pattern reads in a name; None where it matches none.

    Its group `step` may match nothing, for a checkpoint whose step its name does not say.
    """
    digits = step_text(name, pattern)
    if digits is None:
        return None
    if not digits:
        return CheckpointName(None, None, None)
    is_step = digits.isdecimal() and len(digits) <= 18
    return CheckpointName(int(digits), None, "periodic") if is_step else None


def parse_marked(name: str, files: Container[str]) -> CheckpointName | None:
    """What the name of a directory says that only the files in it tell for a checkpoint: orbax's.

    `files`: names relative to the directory.
    """
    if not _is_number(name) or not any(mark in files for mark in MARKS):
        return None
    return CheckpointName(int(name), None, "periodic")


def may_be_checkpoint(name: str, pattern: str | None = None) -> bool:
    """Whether a name is one that a checkpoint has, as far as a name can tell."""
    return _is_number(name) or parse_name(name, pattern) is not None


def has_file_suffix(name: str) -> bool:
    """Whether a known trainer's single file ends so; a file of a directory's name is none."""
    return name.endswith(_KNOWN_FILE_SUFFIXES)


def is_checkpoint_name(name: str, pattern: str | None, *, is_directory: bool) -> bool:
    """Whether the name alone makes a checkpoint of what it stands for."""
    if pattern is not None and parse_by_pattern(name, pattern) is not None:
        return True
    return parse_name(name) is not None and (is_directory or has_file_suffix(name))


def is_best_name(name: str) -> bool:
    """Whether a tool, or the user, calls it the best: it is never pruned."""
    if "best" not in name.lower() or first_match(_OF_THE_USERS, name) is not None:
        return False
    return compiled(_BEST).search(name) is not None


def series(name: str) -> str:
    """What the names of one trainer's checkpoints have in common: `checkpoint-#`."""
    return compiled(r"\d+").sub("#", name)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= 18


def parse_step(name: str) -> tuple[str, int] | None:
    """`("step", N)` for `checkpoint-N` and its like, `("epoch", E)` where only the epoch is named.

    E is the epoch's index from 0: `checkpoint-epoch-118` holds epoch 117. None where the name
    says neither.
    """
    parsed = parse_name(name)
    if parsed is None:
        return None
    if parsed.step is not None:
        return "step", parsed.step
    return ("epoch", parsed.epoch) if parsed.epoch is not None else None

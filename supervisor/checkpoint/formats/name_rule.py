"""How a tool names its checkpoints, as expressions for whole names. It reads no file."""

import re
from collections.abc import Iterable
from enum import Enum
from functools import cache
from typing import NamedTuple

# 4300 digits is where int() raises; 18 are beyond any step.
_MOST_DIGITS = 18


class CheckpointName(NamedTuple):
    """What a name says; the epoch is an index from 0, None is what it does not say."""

    step: int | None
    epoch: int | None
    kind: str | None


class BestWord(Enum):
    """What `best` as a word says in a name of a tool's checkpoints."""

    NO_CHECKPOINT = "no checkpoint"
    """mmengine's `best_coco_bbox_mAP_epoch_12.pth` and its like have no optimizer."""
    BEST = "best"
    """It is a checkpoint as the others are, and the best of them."""
    NOTHING = "nothing"
    """The user called the model so."""


class SharedName(NamedTuple):
    """Evaluations name their directories so, too: one of the files in it has to tell.

    `told_by`: whole names of files of which each tells. `by_any_state`: so does a file of state.
    """

    told_by: str | None = None
    by_any_state: bool = True


class NameRule(NamedTuple):
    """Names of one shape. `pattern` is for the whole name, and has to hold `part`.

    Its groups: `step`; `epoch`, an index from 0; `finished`, epochs that are done. `is_free`:
    anything may stand before the number, also what is no model.
    """

    # Compiling all patterns would cost more than listing a directory.
    part: str
    pattern: str
    kind: str | None
    best: BestWord = BestWord.NO_CHECKPOINT
    shared: SharedName | None = None
    is_free: bool = False


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """An expression whose digits are ASCII's."""
    return re.compile(pattern, re.ASCII)


def first_match(rules: Iterable[NameRule], name: str) -> CheckpointName | None:
    """What the first rule that fits reads in a name; None where none does."""
    for rule in rules:
        match = compiled(rule.pattern).fullmatch(name) if rule.part in name else None
        if match is None:
            continue
        groups = match.groupdict()
        if any(value is not None and len(value) > _MOST_DIGITS for value in groups.values()):
            return None
        step = groups.get("step")
        epoch = groups.get("epoch")
        finished = groups.get("finished")
        index = int(epoch) if epoch else max(int(finished) - 1, 0) if finished else None
        return CheckpointName(int(step) if step else None, index, rule.kind)
    return None

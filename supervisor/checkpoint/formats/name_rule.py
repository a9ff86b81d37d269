"""Rules for the names that a tool gives to its checkpoints, and the reading of names by them."""

import re
from collections.abc import Iterable
from enum import Enum
from functools import cache
from typing import NamedTuple

# int() raises for more than 4300 digits, and no step has more than 18.
_MOST_DIGITS = 18


class CheckpointName(NamedTuple):
    """What a name says of its checkpoint; None for what it does not say.

    `epoch` is an index from 0.
    """

    step: int | None
    epoch: int | None
    kind: str | None


class BestWord(Enum):
    """What the word `best` says in the name of a tool's checkpoint."""

    NO_CHECKPOINT = "no checkpoint"
    """mmengine's `best_coco_bbox_mAP_epoch_12.pth` and its like have no optimizer."""
    BEST = "best"
    """The file is a checkpoint like the others, and the best of them."""
    NOTHING = "nothing"
    """The word belongs to the name that the user gave to the model."""


class SharedName(NamedTuple):
    """A name that evaluations give to directories too: a file inside must show that it is a save.

    `told_by`: an expression for whole names of files, each of which shows it. `by_any_state`: a
    file of training state shows it as well.
    """

    told_by: str | None = None
    by_any_state: bool = True


class NameRule(NamedTuple):
    """A rule for names of one shape. `pattern` matches the whole name, which must hold `part`.

    Groups of `pattern`: `step`; `epoch`, an index from 0; `finished`, the number of epochs done.
    `is_free`: anything may stand before the number, so the name may be that of a by-product.
    """

    # `part` is looked for first: to compile all patterns costs more than to list a directory.
    part: str
    pattern: str
    kind: str | None
    best: BestWord = BestWord.NO_CHECKPOINT
    shared: SharedName | None = None
    is_free: bool = False


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The compiled expression, in which only ASCII digits are digits."""
    return re.compile(pattern, re.ASCII)


def first_match(rules: Iterable[NameRule], name: str) -> CheckpointName | None:
    """What the first matching rule reads in a name; None if no rule matches.

    None also if a number in the name is longer than any step.
    """
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

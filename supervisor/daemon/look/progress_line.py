"""What one line of a log shows of a training's course: a count, its total, the epoch, the loss.

It says which counts are of the whole run and which may be of one epoch. It serves what `status`
shows; nothing may be decided by it.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from supervisor.daemon.look.progress import decimal_of
from supervisor.daemon.look.tool_lines import ToolLine, find_tool_line
from supervisor.diagnosis.bar import Bar, find_bar
from supervisor.diagnosis.line_prefix import split_prefix
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.step_line import read_step

_NUMBER = r"[-+]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:e[-+]?\d{1,4})?|[-+]?(?:nan|inf)"
_LOSS = re.compile(
    r"(?<![\w.\-])(?P<before>\w{1,20}[ /\-])?"
    r"(?:(?:train(?:ing)?|total|lm|step|reduced_train|avr|avg|running|current)[_/ ])?"
    r"loss(?:/train(?:/total)?|_step)?['\"]?(?:\s{0,3}[:=]\s{0,4}| )['\"]?"
    rf"(?P<loss>{_NUMBER})(?![\w.]*[\w/])",
    re.IGNORECASE,
)
_OF_OTHERS = re.compile(r"(?:val|eval|test|dev|best|valid)", re.IGNORECASE)
# Names that are always counts of the whole run: NeMo's and fairseq's bars count within an epoch.
_GLOBAL = re.compile(
    r"(?<!\w)(?:global[_ ]?step|num_updates)['\"]?\s?[=: ]\s?['\"]?"
    r"(\d{1,12})(?:\.0+)?(?![\d.]*\d)",
    re.IGNORECASE,
)
_EPOCH = re.compile(
    r"(?<![\w])epoch['\"]?\s{0,3}[=: ]?\s{0,3}['\"]?(\d{1,9})(?:\.\d{1,12})?\b", re.IGNORECASE
)
# `steps=40000 save_every=500` are settings.
_SETTING = re.compile(r"(?<!\w)(?:steps|iters|iterations|updates)['\"]?\s?[=:]\s?['\"]?\d", re.I)
_RATE = re.compile(r"\d ?(?:it/s|s/it|ms|sec|s|steps?/s|tok(?:en)?s?/s)\b|\blr\b", re.IGNORECASE)
_TRAIN = re.compile(r"\W*(?:train(?:ing)?)\W*", re.IGNORECASE)
_NOT_WORDS = re.compile(r"[^a-z]+")
_COUNTS = ("step", "total", "epoch", "batch", "batches")


class CountKind(StrEnum):
    """What a line's number counts."""

    NONE = "none"
    STEPS = "steps"
    """Steps of the run, by name."""
    BAR = "bar"
    """A bar without an epoch's name: of the run or of an epoch."""
    BATCHES = "batches"
    """Within an epoch."""


class ProgressLine(NamedTuple):
    """One line's facts; None where it shows none. `key` tells the bars of one trainer apart."""

    counts: CountKind = CountKind.NONE
    number: int = 0
    total: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    key: str = ""
    is_keras: bool = False
    heads_epoch: bool = False
    """A line such as `Epoch 3/10` alone: what follows is of that epoch."""


def read_progress(line: str) -> ProgressLine | None:
    """The facts in a line; None for a line that shows no training."""
    text = split_prefix(clean(line)).body
    tool = find_tool_line(text)
    if tool is not None:
        return _of_tool(*tool)
    if text.startswith(("|", "[batch=")):
        return None  # another row of a table; the size of a batch
    has_bar, bar = find_bar(text, from_zero=True)
    if has_bar:
        return None if bar is None else _of_bar(text, bar)
    mark = read_step(text)
    if mark is None:
        return None
    loss, total, number = _loss_in(text), mark.of, mark.number
    if mark.kind == "loss":
        return ProgressLine(epoch=_epoch_in(text), loss=loss)
    if mark.kind == "epoch":
        heads = not mark.is_measured
        return ProgressLine(epoch=number, epochs=total, loss=loss, heads_epoch=heads)
    whole = _GLOBAL.search(text)
    if loss is None and _SETTING.search(text) and not _RATE.search(text):
        return None
    if mark.kind.startswith("bar of "):
        total = int(mark.kind.removeprefix("bar of "))
        found = ProgressLine(CountKind.BATCHES, number, total, mark.epoch, None, loss)
        return _with_steps(found, whole)
    epoch = _epoch_in(text)
    found = ProgressLine(CountKind.STEPS, number, total, epoch, None, loss, "named")
    return found if whole is None else _with_steps(found, whole)


def _of_tool(row: ToolLine, found: re.Match[str]) -> ProgressLine:
    groups = found.groupdict()
    number = {name: int(groups[name]) for name in _COUNTS if groups.get(name) is not None}
    loss = decimal_of(groups.get("loss"))
    if "step" in number:
        key = "global" if row.counts_whole_run else "named"
        return ProgressLine(
            CountKind.STEPS, number["step"], number.get("total"), loss=loss, key=key
        )
    if "batch" in number:
        epoch, batches = number.get("epoch"), number.get("batches")
        return ProgressLine(
            CountKind.BATCHES, number["batch"], batches, epoch, loss=loss, is_keras=row.is_keras
        )
    return ProgressLine(loss=loss)


def _of_bar(text: str, bar: Bar) -> ProgressLine | None:
    # Bars that are scaled (`1.20k`) or show a percentage alone name no exact number.
    if bar.total != "?" and not bar.total.isdigit():
        return None
    if bar.done > 0 and read_step(text) is None:
        return None
    loss = _loss_in(text)
    total = None if bar.total == "?" else int(bar.total)
    if bar.names_epoch or bar.kind == "keras":
        if bar.done == 0:
            return None  # Lightning draws the epoch that has ended once more, at 0
        epoch = bar.epoch if bar.names_epoch else None
        is_keras = not bar.names_epoch
        if is_keras and loss is None:
            return None
        found = ProgressLine(CountKind.BATCHES, bar.done, total, epoch, bar.epochs, loss)
        return _with_steps(found._replace(is_keras=is_keras), _GLOBAL.search(text))
    if "epoch" in bar.name.lower() or bar.kind == "line" or (total is None and loss is None):
        return None  # it may count the epochs, and a count without an end may be of anything
    if _TRAIN.fullmatch(bar.name) is not None:
        # Loops over an epoch's batches name it so, and loops over all steps.
        return ProgressLine(CountKind.BATCHES, bar.done, total, None, None, loss)
    name = _NOT_WORDS.sub(" ", bar.name.lower()).strip()
    return ProgressLine(CountKind.BAR, bar.done, total, None, None, loss, f"{name}|{total}")


def _with_steps(found: ProgressLine, whole: re.Match[str] | None) -> ProgressLine:
    if whole is None:
        return found
    return found._replace(
        counts=CountKind.STEPS,
        number=int(whole[1]),
        total=found.total if found.counts is CountKind.STEPS else None,
        key="global",
    )


def _loss_in(text: str) -> float | None:
    for found in _LOSS.finditer(text):
        if found["before"] is None or _OF_OTHERS.match(found["before"]) is None:
            return decimal_of(found["loss"])
    return None


def _epoch_in(text: str) -> int | None:
    found = _EPOCH.search(text)
    return None if found is None else int(found[1])

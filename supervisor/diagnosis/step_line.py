"""Reads from one line that training finished a step, as today's trainers print it.

It must not take a step that is only spoken of for one that was made: in errors, in summaries, on
resuming. Bars and lines of start-up and evaluation are no steps.

All patterns are matched against the line in lower case. Plain words are looked for before any
pattern: most lines of a log are no steps, and most steps speak of no trouble.
"""

import re
from dataclasses import dataclass, field

from supervisor.diagnosis.bar import find_bar

_WHOLE = r"(\d{1,3}(?:,\d{3}){1,3}(?!\d)|\d{1,12})(?![\d,]*\.?\d)"
# Plural names are settings ("steps = 4"), except beside a measurement.
_STEP = re.compile(
    r"(?<![\w/.\-])(?P<name>(?:global[_ ]?|train(?:ing)?[_ ]|update[_ ])?"
    r"(?:steps?|iter(?:ation)?s?|it|num_updates|updates?))(?:\(train\))?"
    rf"['\"]?\s{{0,4}}[=:#]?\s{{0,12}}['\"]?\[?\s{{0,12}}{_WHOLE}(?! ?(?:ms|s|sec|seconds|%)\b)"
    r"['\"]?(?P<of>\s{0,8}(?:/|of)\s{0,8}(?P<total>\d{1,12}))?(?![\w/.]*\.(?:pt|pth|ckpt|bin)\b)(?!/[a-z])"
)
_EPOCH_BATCH = re.compile(
    # `Epoch [1][50/500]`, `Epoch(train) [1][ 50/ 500]`, `Epoch: [0/90][10/500]`
    r"\bepoch ?(?:\(train\))?:? {0,8}\[ *(?P<epoch>\d{1,9})(?: */ *\d{1,9})?\] ?,?"
    r" ?(?:batch|iter|step)?:? ?\[ *(?P<done>\d{1,12}) */ *(?P<total>\d{1,12})\]"
    # DCGAN: `[0/90][100/2502] loss 6.9`
    r"|^\W{0,4}\[ *(?P<epoch4>\d{1,9}) */ *\d{1,9}\] ?\[ *(?P<done4>\d{1,12})"
    r" */ *(?P<total4>\d{1,12})\]"
    # MNIST, timm: `Train Epoch: 1 [640/60000 (1%)]`, `Train: 0 [  50/1251 (  4%)]`
    r"|\btrain(?:ing)?(?: epoch)?: ?(?P<epoch2>\d{1,9})"
    r" \[ *(?P<done2>\d{1,12}) */ *(?P<total2>\d{1,12}) "
    # fairseq and others: `epoch 001:    100 / 1000 loss=9.1`, `Epoch 3 batch 45/1000`
    r"|\bepoch\W{1,4}(?P<epoch3>\d{1,9})(?:/\d{1,9})?\b\D.{0,40}?(?<![\d.])(?P<done3>\d{1,12})"
    r" ?/ ?(?P<total3>\d{1,12})\b"
)
# In each of these forms; `tokens/s` is in the lines of most trainers.
_OF_NUMBER = re.compile(r"/ *\d")
_OTHER_MODE = re.compile(r"\b(?:iter|epoch)\((?!train)\w{1,20}\)")
_EPOCH = re.compile(
    r"(?<![\w/.\-])(?:train[_ ])?epoch['\"]?\s{0,4}[=:#]?\s{0,4}\[?\s{0,4}(\d{1,9})(?![\d.]*\d)"
    r"(?P<of>\s{0,4}(?:/|of)\s{0,4}(?P<epochs>\d{1,9}))?"
)
# clu, in JAX trainers: `[65100] loss=2.24`
_BRACKETED = re.compile(
    r"^\W{0,4}train(?:ing)?\W{1,4}(?P<train>\d{1,12}):? {1,4}\w{0,12}(?:loss|nll)\w{0,8}"
    r"[ =:]{1,3}-?\d|"
    r"\[(?:\w{1,10}=[\w/]{1,30}\] ?\[)?batch=(\d{1,12})(?:/\w{1,12})?\]:? "
    r"|\[(\d{1,12})\] {1,2}(?:[\w/]{1,30}=\S{1,30}, ?)?\w{0,20}(?:loss|learning_rate"
    r"|accuracy)\w{0,10}="
    r"-?\d"
)
_LOSS = re.compile(r"['\"](?:train_)?loss['\"]: ?['\"]?-?(?:\d|nan|inf)")
_LOSS_BEFORE = re.compile(r"loss\w{0,20}['\"]?\s{0,4}[:=]?\s{0,4}-?\d")
_SUMMARY = re.compile(r"\W{0,20}(?:wandb|comet|neptune|clearml|mlflow)\b")

# Words that make a number behind them one that is only spoken of.
_BEFORE_WORDS = (
    "error", "fail", "exception", "abort", "stop", "interrupt", "resum", "restor", "load",
    "traceback", "fatal", "kill", "out", "xid", "watchdog", "nccl", "assert", "infinite", "became",
    "eval", "valid", "test", "sav", "checkpoint", "accumulation", "skipp", "setup", "sanity", "max",
    "total", "num", "at ", "from ", "until ", "till ", "after ", "every ", "before ", "since ",
    "for ", "to ", "of ", "in ", "on ", "by ", "last ", "next ", "best ", "namespace", "config",
    "args", "argument", "hparams",
)  # fmt: skip
_BEFORE = re.compile(
    r"error|fail|exception|abort|\bstop|interrupt|resum|restor|\bload|traceback|fatal|kill"
    r"|time[d_ ]{0,2}out|\bxid\b|watchdog|\bnccl|assert|infinite|became|\beval|\bvalid"
    r"|\btest(?:ing)?\b(?![/.])|\bsav(?:e|ed|ing)\b|checkpoint|accumulation|\bskipp|\bsetup\b"
    r"|\bsanity|namespace\(|\bconfig|\bargs\b|argument|hparams|\b(?:max(?:imum)?|total"
    r"|num(?:ber)?)\b[^,|;]{0,30}$"
    r"|\b(?:at|from|until|till|after|every|before|since|for|to|of|in|on|by|last|next|best)"
    r" (?:the )?(?:\w{1,12} )?(?:global[_ ]?)?$"
)
# The same behind the number, where "error: 0.3" is a measurement.
_BEHIND_WORDS = (
    "error", "fail", "exception", "abort", "interrupted", "traceback", "fatal", "killed", "out",
    "watchdog", "assert", "stop", "infinite", "became", "diverged", "crash", "resum", "restor",
    "load",
)  # fmt: skip
_BEHIND = re.compile(
    r"\b(?:\w{0,40}errors?|fail(?:ed|ure|ures|s|ing)?|exception|abort(?:ed|ing)?|interrupted"
    r"|traceback|fatal|killed|timed? ?out|watchdog|assert\w{0,10}|stop(?:ping|ped)|infinite|became"
    r"|diverged|crash\w{0,4}|out of memory|resum(?:ed|ing)|restor(?:ed|ing)|load(?:ed|ing))\b"
    r"(?!['\"]?\s{0,4}[:=|]?\s{0,4}[\[(]?-?\d)"
)
_MEASURED = re.compile(
    r"[\w)\]][\"']?\s{0,3}[:=]\s{0,12}[\"'\[(]{0,2}[-+]?(?:\d|\.\d|nan\b|inf\b)"
    r"|(?:loss|\blr|learning.rate|grad.?norm|perplexity|\bppl|\bacc(?:uracy)?|\breward"
    r"|return(?:_mean)?|\btrain|\bval|\bmfu|\btime"
    r"|\beta|tokens?|samples?)\W{1,8}(?:[-+]?\d|nan\b|inf\b)"
    r"|\d ?(?:it/s|s/it|ms|sec|s|steps?/s|tok(?:en)?s?/s)\b"
)
_BARE = re.compile(
    r"(?:[\W\d]{0,80}|\W{0,8}(?:loss|lr)\b.{0,80}"
    r"|\W{0,8}(?:is |was )?(?:done|finished|completed?|ok)\b.{0,80})$"
)
_HINTS = ("batch=", "step", "iter", "epoch", "loss", "it ", "it:", "it=", "update", "train")
_NEEDS_MEASUREMENT = ("steps", "iters", "iterations", "it", "update", "updates")


@dataclass(frozen=True, slots=True)
class StepMark:
    """A sign that training advanced: a number, comparable with others of the same `kind`.

    `epoch` is the epoch in which the number counts, 0 if the line names none. `is_measured`: the
    line shows a loss or a rate, so a step was made. A bare number may be where a run was resumed.
    `of`: what the line names behind the number of a step or an epoch as the last one.
    """

    kind: str
    number: int
    epoch: int = 0
    is_measured: bool = field(default=True, compare=False)
    of: int | None = field(default=None, compare=False)


def read_step(text: str) -> StepMark | None:
    """The step or bar of training in the text behind a line's labels; None without one.

    The kinds are `step`, `loss`, `epoch`, and `bar of N`.
    """
    has_bar, bar = find_bar(text)
    lowered = text.lower()
    if not has_bar and not any(hint in lowered for hint in _HINTS):
        return None
    if _SUMMARY.match(lowered) is not None or "train_runtime" in lowered:
        return None
    if has_bar:
        if bar is None or _is_spoken(lowered, bar.begin, bar.end):
            return None
        is_measured = "?it/s" not in lowered[bar.begin : bar.end + 300]
        return StepMark(f"bar of {bar.total}", bar.done, bar.epoch, is_measured)
    if "(" in lowered and _OTHER_MODE.search(lowered) is not None:
        return None
    return (
        _batch(lowered)
        or _bracketed(lowered)
        or _step(lowered)
        or _loss(lowered)
        or _epoch(lowered)
    )


def _batch(text: str) -> StepMark | None:
    found = _EPOCH_BATCH.search(text) if _OF_NUMBER.search(text) is not None else None
    if found is None or _is_spoken(text, *found.span()):
        return None
    epoch, done, total = (
        found[name] or found[f"{name}2"] or found[f"{name}3"] or found[f"{name}4"]
        for name in ("epoch", "done", "total")
    )
    is_measured = _MEASURED.search(text, found.end()) is not None
    return StepMark(f"bar of {int(total)}", int(done), int(epoch), is_measured)


def _bracketed(text: str) -> StepMark | None:
    found = _BRACKETED.search(text) if "]" in text or "train" in text else None
    if found is None or _is_spoken(text, *found.span()):
        return None
    return StepMark("step", int(next(filter(None, found.groups()))))


def _step(text: str) -> StepMark | None:
    for found in _STEP.finditer(text):
        if _is_spoken(text, *found.span()):
            return None
        begin, end = found.span()
        if found["name"].startswith("it") and text[found.end("name")].isdigit():
            continue  # a word that ends in "it", and a number behind it
        is_measured = (
            _MEASURED.search(text, end) is not None
            or _LOSS_BEFORE.search(text, 0, begin) is not None
        )
        is_plain = found["name"] not in _NEEDS_MEASUREMENT
        if is_measured or (is_plain and _BARE.match(text, end) is not None):
            of = int(found["total"]) if found["total"] else None
            return StepMark("step", int(found[2].replace(",", "")), 0, is_measured, of)
    return None


def _loss(text: str) -> StepMark | None:
    found = _LOSS.search(text) if "loss" in text else None
    if found is None or _is_spoken(text, *found.span()):
        return None
    return StepMark("loss", 0)


def _epoch(text: str) -> StepMark | None:
    found = _EPOCH.search(text) if "epoch" in text else None
    if found is None or _is_spoken(text, *found.span()):
        return None
    is_measured = _MEASURED.search(text, found.end()) is not None
    if not is_measured and (found["of"] is None or _BARE.match(text, found.end()) is None):
        return None
    of = int(found["epochs"]) if found["epochs"] else None
    return StepMark("epoch", int(found[1]), 0, is_measured, of)


def _is_spoken(text: str, begin: int, end: int) -> bool:
    """Whether the words around a number say that it was not just finished."""
    before = text[max(begin - 300, 0) : begin]
    if before and any(map(before.__contains__, _BEFORE_WORDS)) and _BEFORE.search(before):
        return True
    behind = text[end:]
    return any(map(behind.__contains__, _BEHIND_WORDS)) and _BEHIND.search(behind) is not None

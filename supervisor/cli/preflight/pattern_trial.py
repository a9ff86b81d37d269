"""Tries the user's regular expressions before the run, on ordinary and on hostile text."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from supervisor.checkpoint.name_pattern import NAME_CPU_S
from supervisor.cli.preflight.finding import Finding, Level
from supervisor.config.model import RunConfig
from supervisor.core.wording import counted
from supervisor.daemon.look.logtail import LogTail
from supervisor.daemon.look.progress import LINE_CHARACTERS_MAX, LINE_CPU_S, ProgressReader
from supervisor.daemon.look.slow_patterns import ADVICE
from supervisor.diagnosis.rules_file import RulesFileError, near_name, read_rules
from supervisor.diagnosis.user_rules import LINE_CHARACTERS_MAX as RULE_CHARACTERS_MAX
from supervisor.diagnosis.user_rules import LINE_CPU_S as RULE_CPU_S
from supervisor.rundir.paths import RunPaths
from supervisor.system.bounded_pattern import BoundedPattern, PatternTimeoutError
from supervisor.system.pattern_shape import hostile_texts

_NAME_CHARACTERS_MAX = 255
_LINES_TRIED = 200
_NAMES_TRIED = 1000
_TEXTS_TRIED = 60
_LOG_BYTES = 256 << 10
_SHOWN_CHARACTERS = 60
_ORDINARY_LINES = (
    "{'loss': 2.3414, 'grad_norm': 1.2043, 'learning_rate': 4.9e-05, 'epoch': 0.12}",
    " 45%|████▌     | 451/1000 [01:14<01:31,  6.01it/s, loss=2.31, lr=4.9e-05]",
    "Epoch 3:  45%|████▌     | 451/1000 [01:14<01:31,  6.01it/s, v_num=0, train_loss=2.310]",
    "[2026-01-05 10:11:12,345][INFO][rank 0] step: 451 loss: 2.31 grad norm: 1.2 tokens/s: 51234",
    "loss " * 12 + "lr grad norm tokens per second mem used",
    "/usr/lib/python3/dist-packages/torch/optim/lr_scheduler.py:62: UserWarning: " + "word " * 60,
    "=" * 120,
    " " * 400,
    "0123456789abcdef" * 25,
)
_ORDINARY_NAMES = (
    "events.out.tfevents.1736070000.a-host-with-a-long-name.example.org.12345.0",
    "checkpoint-451", "pytorch_model-00001-of-00004.safetensors", "sample_output_image_000123.png",
    "train_log_of_the_first_experiment_with_the_larger_model.txt", "0123456789abcdef" * 4,
)  # fmt: skip
_Apply = Callable[[str, float], object]


def findings(config: RunConfig, run_dir: Path) -> Iterator[Finding]:
    """One answer for each expression that the configuration has, and one for all rules."""
    if config.watch.progress is not None:
        pattern, own = BoundedPattern(config.watch.progress), _own_lines(run_dir)
        found = _trial(
            "progress", pattern.text, pattern.find_all, LINE_CPU_S,
            [*_ORDINARY_LINES, *own], LINE_CHARACTERS_MAX,
        )  # fmt: skip
        if found.level is Level.OK:
            found = replace(found, text=f"{found.text}; {_read_text(config.watch.progress, own)}")
        yield found
    if config.checkpoints.pattern is not None:
        pattern = BoundedPattern(config.checkpoints.pattern)
        names = _own_names(Path(config.checkpoints.directory or run_dir))
        yield _trial(
            "pattern", pattern.text, pattern.match_whole, NAME_CPU_S,
            [*_ORDINARY_NAMES, *names], _NAME_CHARACTERS_MAX,
        )  # fmt: skip
    if config.diagnosis.rules is not None:
        yield from _rules(config.diagnosis.rules, run_dir)


def _read_text(pattern: str, own: list[str]) -> str:
    """What each group reads, in the newest line that the pattern matches.

    In a log of the run, if there is one; else in lines that trainers print.
    """
    for lines, whose in ((own, "in this run's log"), (_ORDINARY_LINES, "for example")):
        for line in reversed(lines):
            found = ProgressReader(pattern).feed([line])
            values = [
                ("step", found.steps[-1].step if found.steps else None),
                ("total", found.total),
                ("epoch", found.epoch),
                ("loss", found.loss),
            ]
            known = [f"{name} {value}" for name, value in values if value is not None]
            if known:
                return f"{whose} it reads {', '.join(known)} from {_shown(line)}"
        if lines and lines is own:
            return f"it matches none of the last {counted(len(own), 'line')} of this run's log"
    return "it matches no line that was tried"


def _rules(path: str, run_dir: Path) -> Iterator[Finding]:
    """Whether the user's own rules can be read, and each pattern is quick."""
    try:
        rules = read_rules(path).rules
    except RulesFileError as error:
        for problem in error.problems:
            yield Finding("rules", Level.FAIL, f"{path}: {problem}", error.hint)
        return
    ordinary = [*_ORDINARY_LINES, *_own_lines(run_dir), *(rule.example for rule in rules)]
    bad = False
    for rule in rules:
        for key, text in (("pattern", rule.regex), ("unless", rule.unless)):
            if text is not None:
                found = _trial(
                    "rules", text, BoundedPattern(text, re.IGNORECASE).search, RULE_CPU_S,
                    ordinary, RULE_CHARACTERS_MAX,
                )  # fmt: skip
                if found.level is not Level.OK:
                    bad = True
                    yield replace(found, text=f"{path}: rule {rule.number}, {key}: {found.text}")
        if (near := near_name(rule.failure)) is not None:
            why = f"{path}: rule {rule.number}, failure: {rule.failure} is a new name"
            yield Finding("rules", Level.WARN, why, f"write {near} if that is meant")
    if not bad:
        count = "1 rule" if len(rules) == 1 else f"{len(rules)} rules"
        text = f"{path}: {count}, each matches its example and is quick"
        yield Finding("rules", Level.OK, text)


def _trial(
    what: str, text: str, apply: _Apply, cpu_s: float, ordinary: list[str], length_max: int
) -> Finding:
    slow = _first_slow((one[:length_max] for one in ordinary), apply, cpu_s)
    short = _some(hostile_texts(text, length_max))
    slow = slow or _first_slow(short, apply, cpu_s)
    if slow is not None:
        why = f"'{text}' takes too long on {_shown(slow)}: the expression backtracks"
        return Finding(what, Level.FAIL, why, ADVICE.partition(";")[0])
    slow = _first_slow(_some(hostile_texts(text, length_max, are_long=True)), apply, cpu_s)
    if slow is not None:
        # The time grows with a power of the length, as for `Epoch (\d+).*?(\d+)/`. No ordinary
        # line is long and odd enough to show that, so it is no failure.
        why = (
            f"'{text}' is quick on usual text. It is too slow on text such as {_shown(slow)}"
            f" ({len(slow)} characters), which is passed over"
        )
        return Finding(what, Level.OK, why)
    return Finding(what, Level.OK, f"'{text}' is quick, also on hostile text")


def _first_slow(texts: Iterable[str], apply: _Apply, cpu_s: float) -> str | None:
    for text in texts:
        try:
            apply(text, cpu_s)
        except PatternTimeoutError:
            return text
    return None


def _some(texts: Iterator[str]) -> Iterator[str]:
    return (text for _, text in zip(range(_TEXTS_TRIED), texts, strict=False))


def _own_lines(run_dir: Path) -> list[str]:
    """The last lines that this run has printed, if any."""
    log = RunPaths(run_dir).train_log
    try:
        tail = LogTail(log, max(log.stat().st_size - _LOG_BYTES, 0))
    except OSError:
        return []
    try:
        return list(tail.poll().lines[-_LINES_TRIED:])
    finally:
        tail.close()


def _own_names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)[:_NAMES_TRIED]  # noqa: PTH208 -- names, as they are matched
    except OSError:
        return []


def _shown(text: str) -> str:
    short = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return repr(short)

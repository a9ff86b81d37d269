"""What a message says: the run, what happened, what was done, what is lost, what to type."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from supervisor.core.save_interval_words import WORTH_S, save_interval_text
from supervisor.core.status import Status
from supervisor.notify.occasions import ASKED_AGAIN, SAVES_AGAIN, Occasion

_TITLES = {
    "held": "held, it needs you",
    "stuck": "stuck, it needs you",
    "hang": "hung",
    "first_restart": "died and was started again",
    "restarts": "died and was started again",
    "recovered": "trains again",
    "finished": "finished",
    "preempted": "was stopped, and will go on",
    "requeue_failed": "is not started again by SLURM",
    "disk": "could not save",
    "daemon_down": "was unwatched for a while",
    "test": "this is a test",
}
_CHARACTERS_MAX = 400


@dataclass(frozen=True, slots=True)
class Notice:
    """Plain text; apprise makes HTML of it for targets that take that."""

    title: str
    body: str
    kind: str
    """`failure`, `warning`, `success`, `info`, as apprise calls them."""


def message(occasions: Sequence[Occasion], status: Status) -> Notice:
    """One message for occasions that came together, the last of them first."""
    newest = occasions[-1]
    run = status.run or "a run"
    title = f"{run} on {status.host}: {_title(newest)}"
    if len(occasions) > 1:
        title += f" ({len(occasions)} messages in one)"
    lines = [f"What happened: {_short(newest.what)}."]
    if newest.done:
        lines.append(f"What was done: {_short(newest.done)}")
    lines += _lines("Evidence", [_short(line) for line in newest.evidence])
    lines += [line for line in (_where(status), _lost(newest, status)) if line]
    if newest.event == "finished" and (saves := _saves(status)):
        lines.append(f"Saves: {saves}.")
    if newest.advice is not None:
        lines.append(f"What to do: {_short(newest.advice.sentence)}")
        if newest.advice.command:
            lines.append(f"  {newest.advice.command}")
    if newest.done == ASKED_AGAIN:
        lines.append(f"To look: supervisor status {_word(status.run_dir)}")
        lines.append(f"To have it asked at once: supervisor resume {_word(status.run_dir)}")
    elif newest.event in ("held", "stuck"):
        lines.append(f"To look: supervisor status {_word(status.run_dir)}")
        lines.append("To go on:")
        lines.append(f"  supervisor resume {_word(status.run_dir)}")
        lines.append(f"  supervisor run {_word(status.config)}")
    lines += _lines("Before that", _counted(occasions[:-1]))
    lines.append(f"Run directory: {status.run_dir}")
    return Notice(title, "\n".join(lines), _kind(newest.event))


def trial(run: str, host: str) -> Notice:
    """The message that `supervisor notify` sends."""
    return Notice(
        f"{run} on {host}: {_TITLES['test']}",
        f"Messages about the run {run} on {host} arrive here.",
        "info",
    )


def _word(path: str | None) -> str:
    """A path as a shell takes it."""
    return "CONFIG" if path is None else shlex.quote(path)


def _title(occasion: Occasion) -> str:
    if occasion.done == ASKED_AGAIN:
        return "is not launched, it needs you"
    return "saves again" if occasion.what == SAVES_AGAIN else _TITLES[occasion.event]


def _kind(event: str) -> str:
    if event in ("finished", "recovered"):
        return "success"
    if event in ("held", "stuck", "requeue_failed"):
        return "failure"
    return "info" if event in ("preempted", "daemon_down") else "warning"


def _where(status: Status) -> str:
    if status.step is None:
        return ""
    of = "" if status.total is None else f" of {status.total}"
    return f"Step: {status.step}{of}, attempt {status.attempt}."


def _lost(occasion: Occasion, status: Status) -> str:
    if occasion.event in ("recovered", "finished", "daemon_down", "requeue_failed"):
        return ""
    newest = status.checkpoint
    if newest is None:
        return "Lost: there is no checkpoint." if status.step else ""
    if newest.step is None:
        return f"Newest checkpoint: {newest.path}."
    lost = max((status.step or newest.step) - newest.step, 0)
    return f"Lost: {lost} steps since {newest.path} (step {newest.step})."


def _saves(status: Status) -> str:
    """How often the next training should save; empty where this one was short."""
    spent = status.goodput
    is_long = spent is not None and (spent.training_s or 0.0) >= WORTH_S
    return save_interval_text(status.save_interval) if is_long else ""


def _counted(occasions: Sequence[Occasion]) -> list[str]:
    """Occasions that are told in the same message: their titles, each with its count."""
    counts = Counter(_title(one) for one in occasions)
    return [f"{title}: {count} times" if count > 1 else title for title, count in counts.items()]


def _lines(heading: str, lines: Sequence[str]) -> list[str]:
    return [f"{heading}:", *(f"  {line}" for line in lines)] if lines else []


def _short(text: str) -> str:
    """One line without control characters, and not endless."""
    line = "".join(c if c.isprintable() else " " for c in text).strip().removesuffix(".")
    return line if len(line) <= _CHARACTERS_MAX else line[: _CHARACTERS_MAX - 1] + "…"

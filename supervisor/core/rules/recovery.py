"""What a kill would cost a training, and how a stop goes: a few sentences from what is known.

Pure. The daemon says them once a run, and `check` says before a launch what of them is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from supervisor.core.rules.save_interval import SaveAdvice
from supervisor.core.wording import counted, rough_time, trainer_text

HOUR_S = 3600.0
_THEN = " | "
_SEEN = "seen "
# An interval that was seen is told again if it turns out to be so many times longer or shorter.
_OTHER = 2.0
_CHARS_MAX = 40
_LOSSES_CHARS = 110
# The key or argument for the steps between two saves, by the name of the library's adapter.
_KEYS = {"huggingface": "`save_steps: {}`", "lightning": "`every_n_train_steps={}`"}
_SHARES = ((0.05, "a twentieth"), (0.1, "a tenth"), (0.2, "a fifth"), (0.25, "a quarter"),
           (1 / 3, "a third"), (0.5, "half"))  # fmt: skip


class StopWay(StrEnum):
    """What becomes of a stop (Ctrl-C, SIGTERM, `supervisor stop`)."""

    SAVES = "saves"
    """An adapter saves at the step and leaves."""
    SCRIPT = "script"
    """The script sees to it: it handles SIGTERM, or reads `should_stop`."""
    ASKED = "asked"
    """The script attached by itself, and may read `should_stop`."""
    NEXT_SAVE = "next_save"
    """The loop may reach its own next save, if that is due within the grace."""
    DIES = "dies"
    """SIGTERM has its default action."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Recovery:
    """What is known of a training's saves, its resume and its stop."""

    trainer: str | None = None
    """The library that trains, with its version: `huggingface 5.24`."""
    is_by_format: bool = False
    """`trainer` is only the tool whose checkpoints look like these."""
    place: str | None = None
    """Where it saves, as shown."""
    save_steps: int | None = None
    """Steps between two saves; 0: it never saves. None: not known."""
    save_every_s: float | None = None
    """Seconds between two saves, as configured or as seen."""
    is_learned: bool = False
    """The interval is what was seen of saves so far."""
    is_auto: bool = False
    """The trainer finds the interval by itself, and changes it."""
    step_s: float | None = None
    has_saved: bool = False
    has_snapshots: bool = False
    """The newest state is also in memory."""
    not_restored: tuple[str, ...] = ()
    is_order_known: bool = True
    """Whether it is known what a resume does with the order of the data."""
    stop: StopWay | None = None
    """None: not known before the launch."""

    @property
    def interval_s(self) -> float | None:
        """Seconds between two saves; None: not known."""
        if self.save_every_s is not None:
            return self.save_every_s
        return self.save_steps * self.step_s if self.save_steps and self.step_s else None

    @property
    def is_interval_known(self) -> bool:
        """Whether it is known how often it saves, be it in steps or never."""
        return self.save_steps is not None or self.save_every_s is not None

    @property
    def key(self) -> str:
        """What the sentences depend on besides measured times: the same key is told once.

        Digits in the place count for nothing: a fold, a trial, each start has its own.
        """
        place = "".join(one for one in self.place or "" if not one.isdigit())
        return f"{self._about}{_THEN}{place} {self._every}"

    def _told_s(self, told: Sequence[str]) -> float | None:
        """The interval seen that was told last, with all else as now; None: there was none."""
        start = self.key.rpartition(_SEEN)[0] + _SEEN
        for key in reversed(told):
            if key.startswith(start):
                try:
                    return float(key.removeprefix(start))
                except ValueError:
                    return None
        return None

    @property
    def _about(self) -> str:
        """The part of the key that does not depend on saves."""
        trainer = None if self.is_by_format else self.trainer
        return f"{trainer} {self.stop} {'; '.join(self.not_restored)}"

    @property
    def _every(self) -> str:
        if self.is_auto:
            return "auto"
        if self.is_learned:
            return f"{_SEEN}{self.save_every_s:.3g}"
        return f"{self.save_steps} {self.save_every_s}"

    def is_news(self, told: Sequence[str]) -> bool:
        """Whether the sentences say something that those with the keys `told` did not say.

        `told`: the last one comes last.
        """
        if self.is_learned and self.save_every_s is not None:
            before_s = self._told_s(told)
            ratio = self.save_every_s / before_s if before_s else 0.0
            return not 1 / _OTHER < ratio < _OTHER
        if self.is_interval_known:
            return self.key not in told
        return all(key.partition(_THEN)[0] != self._about for key in told)


def recovery_sentences(known: Recovery) -> tuple[str, ...]:
    """The paragraph, one sentence each: saves, a kill, the resume, a stop."""
    found = (_saves(known), _kill(known), _resume(known), _stop(known))
    return tuple(sentence for sentence in found if sentence)


def _saves(known: Recovery) -> str:
    who = _short(trainer_text(known.trainer or "the trainer"), 30)
    if known.is_by_format:
        who = f"the trainer, whose checkpoints are like those of {known.trainer},"
    if known.save_steps == 0 and known.save_every_s is None:
        return f"{who} saves nothing to resume from by itself"
    where = f" into {_short(known.place)}" if known.place else ""
    often = _often(known)
    if often:
        return f"{who} saves{where} {often}"
    if not known.place:
        return f"where and how often {who} saves is not known before its first save"
    return f"{who} saves{where}; how often is known after its third save"


def _often(known: Recovery) -> str:
    every_s = known.interval_s
    about = "" if every_s is None else f"every {rough_time(every_s)}"
    if known.is_auto:
        return f"as often as loses the least (`interval: auto`), {about} at present"
    if known.is_learned:
        return f"about {about} as seen so far" if about else ""
    if not known.save_steps:
        return about
    steps = f"every {counted_steps(known.save_steps)}"
    return f"{steps} (about {about})" if about else steps


def counted_steps(number: int) -> str:
    """`1 step`, `20,000 steps`."""
    return counted(number, "step").replace(str(number), f"{number:,}", 1)


def _kill(known: Recovery) -> str:
    if known.has_snapshots:
        return (
            "A killed process goes on from its newest snapshot in memory, and only a dead machine"
            " goes back to the last save"
        )
    interval_s = known.interval_s
    if known.save_steps == 0 and known.save_every_s is None:
        return "A kill loses everything since the start"
    first = "" if known.has_saved else ", before the first save everything"
    if interval_s is not None and interval_s > HOUR_S:
        lost = f"a kill loses up to {rough_time(interval_s)} of training{first}"
        return f"Nothing is saved within an hour: {lost}"
    if interval_s is not None:
        return f"A kill loses up to {rough_time(interval_s)} of training{first}"
    if known.save_steps:
        return f"A kill loses up to {counted_steps(known.save_steps)}{first}"
    since = "since the last save" if known.has_saved else "since the start, as long as none is seen"
    return f"A kill loses everything {since}"


def _resume(known: Recovery) -> str:
    lost: list[str] = []
    for one in known.not_restored:
        if sum(map(len, lost)) + len(one) > _LOSSES_CHARS and lost:
            lost.append(f"{len(known.not_restored) - len(lost)} more")
            break
        lost.append(_short(one, _LOSSES_CHARS))
    if lost:
        return f"A resume does not restore: {'; '.join(lost)}"
    return "" if known.is_order_known else (
        "It is not known whether a resume restores the order of its data"
    )  # fmt: skip


def _stop(known: Recovery) -> str:
    match known.stop:
        case StopWay.SAVES:
            return "A stop (Ctrl-C, SIGTERM) saves at the step, and ends the run with 75"
        case StopWay.SCRIPT:
            return "A stop (Ctrl-C, SIGTERM) is left to the script, which sees to it itself"
        case StopWay.ASKED:
            return "A stop (Ctrl-C, SIGTERM) asks the script by `should_stop` to save and end"
        case StopWay.NEXT_SAVE:
            return (
                "A stop (Ctrl-C, SIGTERM) waits for its next save if that is due within the grace,"
                " or saves nothing"
            )
        case StopWay.DIES:
            return "A stop (Ctrl-C, SIGTERM) ends it at once: it gets SIGTERM and saves nothing"
        case StopWay.UNKNOWN:
            return "A stop (Ctrl-C, SIGTERM) sends it SIGTERM; whether it saves is not known"
        case None:
            return ""


def interval_key(trainer: str | None) -> str | None:
    """The library's own key for the steps between two saves, to be formatted with a number."""
    return _KEYS.get((trainer or "").partition(" ")[0])


def advice_sentence(advice: SaveAdvice, trainer: str | None) -> str:
    """What a better interval between saves would be, in the library's own words."""
    every, best = rough_time(advice.interval_s), rough_time(advice.best_s)
    key = interval_key(trainer)
    better = f"a save every {best}"
    if key is not None and advice.best_steps is not None:
        better = f"{key.format(advice.best_steps)} (every {best})"
    return f"it saves every {every}; {better} would lose {_share(advice.share)} as much time"


def _share(share: float) -> str:
    """`a tenth`, or `60 %`, whichever says it."""
    nearest = min(_SHARES, key=lambda one: abs(one[0] - share))
    if abs(nearest[0] - share) <= 0.2 * nearest[0]:
        return nearest[1]
    return f"{max(round(100 * share), 1)} %"


def _short(text: str, most: int = _CHARS_MAX) -> str:
    """A text that fits into a line; of a path the end counts."""
    if len(text) <= most:
        return text
    return f"…{text[1 - most :]}" if "/" in text else f"{text[: most - 1]}…"

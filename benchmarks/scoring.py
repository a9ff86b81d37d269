"""How well verdicts agree with labels, and which disagreements waste a run or a GPU."""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.labelled_logs import GOING_ON, STOPPING, LabelledLog
from supervisor.diagnosis.failure import Diagnosis

NO_FAILURE = frozenset({"unknown", "completed"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a program says of one log: `failures` are all names that its word stands for.

    `actions`: a program that only knows stop and restart says all that go with its word.
    """

    failures: frozenset[str]
    actions: frozenset[str]

    @classmethod
    def of(cls, diagnosis: Diagnosis) -> "Verdict":
        """Ours, as one name and one action."""
        return cls(frozenset({str(diagnosis.failure)}), frozenset({str(diagnosis.action.told)}))

    @property
    def stops(self) -> bool:
        """Whether the training would not be launched again here."""
        return bool(self.actions & STOPPING)

    @property
    def is_alarm(self) -> bool:
        """Whether it names a failure at all."""
        return not self.failures & NO_FAILURE


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict beside its label."""

    log: LabelledLog
    verdict: Verdict

    @property
    def is_action_right(self) -> bool:
        """Whether one of the label's actions was said."""
        return bool(self.verdict.actions & self.log.actions)

    @property
    def is_name_right(self) -> bool:
        """Whether one of the label's names was said."""
        return bool(self.verdict.failures & self.log.failures)

    @property
    def is_wrongly_held(self) -> bool:
        """Whether the run stands still, and the label says that it could go on."""
        return not self.is_action_right and self.verdict.stops and not self.log.actions & STOPPING

    @property
    def is_wrongly_restarted(self) -> bool:
        """Whether it is launched again, and the label wants a human or another GPU."""
        goes_on = bool(self.verdict.actions & GOING_ON)
        return not self.is_action_right and goes_on and bool(self.log.actions & STOPPING)


@dataclass(frozen=True, slots=True)
class Score:
    """The verdicts on one set of logs in one wrapping, in per cent of the logs that failed."""

    judged: tuple[Judged, ...]

    @classmethod
    def of(cls, judged: Iterable[Judged]) -> "Score":
        """The score of these."""
        return cls(tuple(judged))

    @property
    def failed(self) -> list[Judged]:
        """The logs of trainings that failed."""
        return [one for one in self.judged if not one.log.is_healthy]

    @property
    def action_percent(self) -> float:
        """How many have the right action."""
        return _percent(one.is_action_right for one in self.failed)

    @property
    def name_percent(self) -> float:
        """How many have the right name."""
        return _percent(one.is_name_right for one in self.failed)

    @property
    def wrongly_held_percent(self) -> float:
        """How many stand still for nothing."""
        return _percent(one.is_wrongly_held for one in self.failed)

    @property
    def wrongly_restarted_percent(self) -> float:
        """How many are launched again in vain."""
        return _percent(one.is_wrongly_restarted for one in self.failed)

    @property
    def alarms(self) -> list[Judged]:
        """The healthy logs in which a failure is named."""
        return [one for one in self.judged if one.log.is_healthy and one.verdict.is_alarm]

    def mistakes(self) -> list[str]:
        """A line for each disagreement: what the label says, and what was said."""
        return [
            f"{one.log.id}: {_words(one.log.failures)} / {_words(one.log.actions)}, said"
            f" {_words(one.verdict.failures)} / {_words(one.verdict.actions)}"
            for one in self.judged
            if one in self.alarms
            or (not one.log.is_healthy and not (one.is_action_right and one.is_name_right))
        ]


def _percent(claims: Iterable[bool]) -> float:
    found = list(claims)
    return 100 * sum(found) / len(found) if found else float("nan")


def _words(words: frozenset[str]) -> str:
    return "|".join(sorted(words))

"""What the user says of the training command's exit codes: `restart.exit_codes`.

A rule replaces the action of the diagnosis, never the failure's name. It is asked for only where a
failure is judged: a stop that was asked for and the end of training come before it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from supervisor.core.ending import Ending
from supervisor.core.vocabulary import Action, ExitCode

# POSIX shells report a child's death by signal N as 128 + N; so does a rule.
SIGNAL_BASE = 128
# A trainer's own words about its end: no rule changes what they mean.
OWN_WORDS = frozenset({ExitCode.PREEMPTED, ExitCode.CONFIGURATION})


class ExitRule(StrEnum):
    """What a rule makes of an exit."""

    RESTART = "restart"
    """A failure like others, also where the diagnosis says hold, exclude or backoff."""
    BACKOFF = "backoff"
    """An outage, as for the action of this name."""
    ROLLBACK = "rollback"
    HOLD = "hold"
    FREE = "free"
    """Launched again, and charged to no budget."""

    @property
    def action(self) -> Action:
        """The action that stands on record. No `case _`: mypy reports a member without one."""
        match self:
            case ExitRule.RESTART | ExitRule.FREE:
                return Action.RESTART
            case ExitRule.BACKOFF:
                return Action.BACKOFF
            case ExitRule.ROLLBACK:
                return Action.ROLLBACK
            case ExitRule.HOLD:
                return Action.HOLD


ExitRules = tuple[tuple[int, ExitRule], ...]
"""Exit codes, each with its rule."""


@dataclass(frozen=True, slots=True)
class RuledExit:
    """An exit that a rule was given for. `shown`: `exit code 3`, or `signal 9 (137)`."""

    rule: ExitRule
    shown: str

    def of(self, ending: Ending) -> Ending:
        """The ending with the rule's action, and with the rule as the last reason."""
        said = f"{self.shown}: restart.exit_codes says {self.rule}"
        if self.rule is ExitRule.FREE:
            said += ", so no budget is charged"
        reason = f"{ending.reason}; {said}" if ending.reason else said
        return replace(ending, action=self.rule.action, reason=reason)


def rule_of(rules: ExitRules, ending: Ending) -> RuledExit | None:
    """The rule for how an attempt ended. None: there is none, and the diagnosis decides.

    A rank's outcome is looked up before the exit code of its launcher. If the daemon ended the
    attempt, the exit is the daemon's doing and no rule is asked.
    """
    if ending.ended_by_us or ending.effective_code in OWN_WORDS:
        return None
    known = dict(rules)
    for code, shown in _codes(ending):
        if code in known:
            return RuledExit(known[code], shown)
    return None


def _codes(ending: Ending) -> Iterable[tuple[int, str]]:
    """The codes to look up, the weightiest first, each as a reason names it."""
    for code in (ending.effective_code, ending.code):
        if code is not None:
            yield code, f"exit code {code}"
    if ending.signal is not None:
        code = SIGNAL_BASE + ending.signal
        yield code, f"signal {ending.signal} ({code})"

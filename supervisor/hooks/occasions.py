"""What a run's ledger has that hooks are run for. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.config.hook_section import HookName
from supervisor.core.entries.attempt import (
    AttemptEndedEntry,
    AttemptStartedEntry,
    AttemptUnwatchedEntry,
)
from supervisor.core.entries.decision import DecisionEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.run import SupervisorStartedEntry
from supervisor.core.entries.saves import CheckpointRemovedEntry, CheckpointVerdictEntry
from supervisor.core.entries.telling import HookFailedEntry
from supervisor.core.vocabulary import RunState

Fact = str | int | bool | None


@dataclass(frozen=True, slots=True)
class HookOccasion:
    """One thing that happened, and the hook for it."""

    hook: HookName
    key: str
    """Its name, the same for every daemon of the run."""
    facts: Mapping[str, Fact] = field(default_factory=dict)


class HookOccasions:
    """Told of each entry of a run in order, it keeps the last occasion for each hook."""

    def __init__(self) -> None:
        self.last: dict[HookName, HookOccasion] = {}
        """Of the present supervisor: an earlier one ran its own hooks."""
        self.failures: dict[str, str] = {}
        """Why hooks of the present supervisor failed, as first recorded."""
        self._proven: dict[str, int | None] = {}
        self._fingerprints: dict[str, str | None] = {}
        self._started: int | None = None
        self._ended: int | None = None
        self._counts: Counter[str] = Counter()

    def note(self, entry: Entry) -> None:
        """Take in one more entry."""
        match entry:
            case SupervisorStartedEntry():
                self.last, self.failures = {}, {}
            case HookFailedEntry():
                self.failures.setdefault(entry.hook, entry.reason)
            case AttemptStartedEntry():
                self._started = entry.attempt
            case AttemptEndedEntry():
                self._ended = entry.attempt
                self._keep("attempt_ended", f"attempt {entry.attempt}", _of_end(entry))
            case AttemptUnwatchedEntry(attempt=int(number)) if entry.how != "survives":
                facts: dict[str, Fact] = {"attempt": number, "step": entry.step}
                self._keep("attempt_ended", f"attempt {number}", facts)
            case DecisionEntry(state=RunState.HELD | RunState.STUCK):
                self._decided("held", entry)
            case DecisionEntry(state=RunState.COMPLETED):
                self._decided("finished", entry)
            case CheckpointVerdictEntry(valid=True, own_run=True):
                self._proved(entry)
            case CheckpointRemovedEntry(path=path):
                self._proven.pop(path, None)

    def _proved(self, entry: CheckpointVerdictEntry) -> None:
        path, print_ = entry.path, entry.fingerprint
        is_known = path in self._fingerprints and self._fingerprints[path] == print_
        self._proven.pop(path, None)
        self._proven[path] = entry.step
        self._fingerprints[path] = print_
        if is_known or not self._is_newest(path, entry.step):
            return  # the verdict of a young checkpoint is written down again
        facts: dict[str, Fact] = {
            "attempt": self._started,
            "checkpoint": path,
            "step": entry.step,
            "proof": entry.proof,
        }
        self._keep("checkpoint_proven", f"{path} {print_}", facts)

    def _is_newest(self, path: str, step: int | None) -> bool:
        """Whether no later step was proven in that directory: each stage counts from 1."""
        beside = _folder(path)
        steps = (known for one, known in self._proven.items() if _folder(one) == beside)
        return step is None or all(known is None or known <= step for known in steps)

    def _decided(self, hook: HookName, entry: DecisionEntry) -> None:
        self._counts[hook] += 1
        failure = None if entry.failure is None else entry.failure.value
        facts: dict[str, Fact] = {
            "attempt": self._ended,
            "state": None if entry.state is None else str(entry.state),
            "failure": failure,
            "reason": entry.reason,
        }
        self._keep(hook, f"{hook} {self._counts[hook]}", facts)

    def _keep(self, hook: HookName, key: str, facts: Mapping[str, Fact]) -> None:
        self.last[hook] = HookOccasion(hook, key, facts)


def _of_end(entry: AttemptEndedEntry) -> dict[str, Fact]:
    code = entry.code if entry.outcome is None else entry.outcome
    return {
        "attempt": entry.attempt,
        "step": entry.step,
        "exit_code": code,
        "signal": entry.signal,
        "failure": None if entry.failure is None else entry.failure.value,
        "action": None if entry.action is None else entry.action.value,
        "reason": entry.reason,
        "stop": None if entry.stop_requested is None else str(entry.stop_requested),
        "saved": entry.saved,
    }


def _folder(path: str) -> str:
    return path.rpartition("/")[0]

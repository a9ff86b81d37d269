"""What people may want to be told of a run, found in its ledger."""

from collections import Counter
from dataclasses import dataclass

from supervisor.core.ending import Advice
from supervisor.core.entries.attempt import (
    AttemptEndedEntry,
    AttemptStartedEntry,
    FirstStepEntry,
    HungEntry,
)
from supervisor.core.entries.decision import DecisionEntry, ResumedEntry
from supervisor.core.entries.entry import Entry, Stamped
from supervisor.core.entries.run import (
    DaemonStartedEntry,
    ReloadedEntry,
    RequeueEntry,
    SupervisorEndedEntry,
    SupervisorStartedEntry,
)
from supervisor.core.entries.saves import ProgressEntry, SaveFailedEntry
from supervisor.core.failures import Nature
from supervisor.core.launch_gate import LONGEST_WAIT_S
from supervisor.core.vocabulary import Failure, RunState

EVENTS = (
    "held", "hang", "first_restart", "restarts", "recovered", "finished", "preempted",
    "requeue_failed", "disk", "stuck", "daemon_down",
)  # fmt: skip
TRAINS_AGAIN = "it trains again"
SAVES_AGAIN = "it saves again"
ASKED_AGAIN = f"The hook is asked again every {LONGEST_WAIT_S / 60:.0f} min."
_REQUEUE_FAILED = frozenset({"forbidden", "no_batch", "unknown"})
_ENDS = {
    RunState.HELD: ("held", "Nothing is launched until a person resumes the run."),
    RunState.STUCK: ("stuck", "Its processes cannot be ended, so nothing is launched."),
    RunState.COMPLETED: ("finished", ""),
    RunState.PREEMPTED: ("preempted", "It goes on where it was saved when it is started again."),
}


@dataclass(frozen=True, slots=True)
class Occasion:
    """One thing that happened; `wall` in seconds since 1970."""

    event: str
    number: int
    """Which of its kind in the run it is."""
    wall: float
    what: str
    done: str = ""
    evidence: tuple[str, ...] = ()
    advice: Advice | None = None
    after: tuple[str, ...] = ()
    """The keys of the failures that it is the recovery from."""

    @property
    def key(self) -> str:
        """Its name on record, the same for every daemon of the run."""
        return f"{self.event}-{self.number}"


class Occasions:
    """Told of each entry of a run in order, it tells the occasions."""

    def __init__(self) -> None:
        self.first_attempt: float | None = None
        """When the run's first attempt started."""
        self.is_refused = False
        """The hook `before_launch` has refused the next launch for so long that this was told."""
        self._counts: Counter[str] = Counter()
        self._failures: list[str] = []
        self._failed_saves: list[str] = []
        self._trains = False
        self._ended: AttemptEndedEntry | None = None
        self._daemon_lives = False

    def note(self, noted: Stamped) -> list[Occasion]:
        """What one more entry is the occasion for."""
        entry, wall = noted.entry, noted.wall
        match entry:
            case HungEntry(failure=Failure.HANG):
                self._trains = False
                return [self._failed("hang", wall, entry.reason, "It is ended and started again.")]
            case AttemptEndedEntry():
                return self._on_end(entry, wall)
            case AttemptStartedEntry():
                return self._on_start(entry, wall)
            case FirstStepEntry() | ProgressEntry():
                return self._on_headway(wall, is_save=isinstance(entry, ProgressEntry))
            case SaveFailedEntry():
                what = f"a save failed: {entry.line or 'the disk refuses it'}"
                one = self._made("disk", wall, what, "Training goes on.")
                self._failed_saves.append(one.key)
                return [one]
            case DecisionEntry():
                return self._on_decision(entry, wall)
            case RequeueEntry(verdict=verdict) if verdict in _REQUEUE_FAILED:
                what = f"SLURM does not start job {entry.job} again ({verdict})"
                return [self._made("requeue_failed", wall, what)]
            case _:
                return self._on_daemons(entry, wall)

    def _on_end(self, entry: AttemptEndedEntry, wall: float) -> list[Occasion]:
        self._ended, self._trains = entry, False
        if entry.failure is not Failure.DISK_FULL:
            return []
        what = f"attempt {entry.attempt} died: {entry.reason or 'a disk is full'}"
        done = "It is started again once there is room."
        return [self._failed("disk", wall, what, done, entry.evidence, entry.advice)]

    def _on_start(self, entry: AttemptStartedEntry, wall: float) -> list[Occasion]:
        if self.first_attempt is None:
            self.first_attempt = wall
        self.is_refused = False
        ended, self._ended, self._trains = self._ended, None, True
        if ended is None or ended.failure is None or ended.failure.nature is Nature.ORDINARY:
            return []
        what = f"attempt {ended.attempt} died: {ended.reason or ended.failure.value}"
        origin = "nothing" if entry.checkpoint is None else entry.checkpoint.path
        done = f"Attempt {entry.attempt} was started from {origin}."
        event = "restarts" if self._counts["first_restart"] else "first_restart"
        return [self._failed(event, wall, what, done, ended.evidence, ended.advice)]

    def _on_headway(self, wall: float, *, is_save: bool) -> list[Occasion]:
        # The survey after a death finds what was saved before it: that is no headway.
        if not self._trains:
            return []
        after, self._failures = tuple(self._failures), []
        what = TRAINS_AGAIN if after else SAVES_AGAIN
        if is_save:
            after, self._failed_saves = (*after, *self._failed_saves), []
        return [self._made("recovered", wall, what, after=after)] if after else []

    def _on_decision(self, entry: DecisionEntry, wall: float) -> list[Occasion]:
        if not isinstance(entry.state, RunState):
            return []
        if entry.failure is Failure.LAUNCH_REFUSED and entry.state is RunState.WAITING:
            return self._on_refusal(entry, wall)
        if entry.state not in _ENDS:
            return []
        event, done = _ENDS[entry.state]
        ended = self._ended
        why = ended is not None and ended.failure is entry.failure
        evidence = ended.evidence if ended is not None and why else ()
        advice = ended.advice if ended is not None and why else None
        what = entry.reason or event
        if entry.holds:
            return [self._failed(event, wall, what, done, evidence, advice)]
        return [self._made(event, wall, what, done)]

    def _on_refusal(self, entry: DecisionEntry, wall: float) -> list[Occasion]:
        """A hook that refuses for long needs a person as a held run does. It is told once."""
        if self.is_refused or (entry.wait_s or 0.0) < LONGEST_WAIT_S:
            return []
        self.is_refused = True
        return [self._failed("held", wall, entry.reason or "its hook refuses it", ASKED_AGAIN)]

    def _on_daemons(self, entry: Entry, wall: float) -> list[Occasion]:
        match entry:
            case SupervisorStartedEntry() | ResumedEntry():
                self._ended = None  # a person started this one
            case ReloadedEntry() | SupervisorEndedEntry():
                self._daemon_lives = False
            case DaemonStartedEntry():
                lived, self._daemon_lives = self._daemon_lives, True
                if lived:
                    what = "the supervisor's daemon, or the machine, had died"
                    return [self._made("daemon_down", wall, what, "Another daemon goes on.")]
        return []

    def _failed(
        self, event: str, wall: float, what: str, done: str,
        evidence: tuple[str, ...] = (), advice: Advice | None = None,
    ) -> Occasion:  # fmt: skip
        made = self._made(event, wall, what, done, evidence, advice)
        self._failures.append(made.key)
        return made

    def _made(
        self, event: str, wall: float, what: str, done: str = "",
        evidence: tuple[str, ...] = (), advice: Advice | None = None, after: tuple[str, ...] = (),
    ) -> Occasion:  # fmt: skip
        self._counts[event] += 1
        return Occasion(event, self._counts[event], wall, what, done, evidence[-2:], advice, after)

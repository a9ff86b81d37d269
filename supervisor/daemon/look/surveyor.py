"""Has the checkpoints validated by a child process, so that a stalled disk cannot stall the daemon.

The child's verdicts are remembered here and in the ledger: no unchanged checkpoint is read twice.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from supervisor.checkpoint.contents import may_be_weights
from supervisor.checkpoint.name_pattern import Patience, slow_name
from supervisor.checkpoint.names import may_be_checkpoint, parse_name
from supervisor.checkpoint.records import CheckpointEntry, Remembered
from supervisor.checkpoint.told_names import may_be_told
from supervisor.core.events import Surveyed, SurveyFailed
from supervisor.core.vocabulary import Tier
from supervisor.daemon.look.attempt_times import AttemptTimes
from supervisor.daemon.look.described_directories import DescribedDirectories
from supervisor.daemon.look.survey_child import SurveyChild
from supervisor.daemon.look.survey_event import survey_event
from supervisor.daemon.tell.recorded_checkpoints import Recorded
from supervisor.survey.answer import Survey
from supervisor.survey.elsewhere.sightings import SaveSearch
from supervisor.survey.nested_folders import NestedWalk
from supervisor.survey.request import SurveyRequest

# On a slow file system the daemon must not wait for hundreds of directories at a time. A decision's
# survey reads all of them, in its own process.
_WALK_S = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """What a survey found: the event for the core, and what is new for the ledger."""

    event: Surveyed | SurveyFailed
    survey: Survey | None
    news: tuple[CheckpointEntry, ...]
    gone: tuple[str, ...] = ()
    """Remembered checkpoints that have disappeared: a trainer prunes its own."""


class _Question(NamedTuple):
    """The part of a survey's request that changes from one survey to the next."""

    deciding: bool
    pins: frozenset[str]
    times: AttemptTimes
    search: SaveSearch | None
    reads_clock: bool


class Surveyor:
    """At most one survey at a time.

    A survey for a decision waits until one for news has ended. It finds the verdicts remembered.
    """

    def __init__(
        self,
        directory: Path,
        folder: Path,
        *,
        run_id: str,
        existing: Literal["use", "ignore"] | None,
        memory: dict[str, Remembered],
        pattern: str | None = None,
        snapshots: Path | None = None,
        recorded: Recorded | None = None,
        set_aside: Path | None = None,
        named: DescribedDirectories | None = None,
    ) -> None:
        self._own = directory
        self._named = named
        self._looked_into: tuple[str, ...] = ()
        self._run_id = run_id
        self._existing = existing
        self._memory = memory
        self._forgotten: dict[str, Remembered] = {}
        self._pattern = pattern
        self._snapshots = snapshots
        self.recorded = Recorded() if recorded is None else recorded
        self.unmounted: str | None = None
        self.caveats: dict[str, str] = {}
        """What resuming from a valid checkpoint would lose, by the checkpoint's path."""
        self._set_aside = set_aside
        self._nested = NestedWalk(directory, run_id, pattern)
        self._child = SurveyChild(folder)
        self._deciding = False
        self._waiting: _Question | None = None
        self._failed: SurveyFailed | None = None

    def fileno(self) -> int:
        """For the selector: readable when an answer may have come."""
        return self._child.fileno()

    @property
    def directory(self) -> Path:
        """Where the trainer saves: the directory that it named last, else the run's own."""
        current = None if self._named is None else self._named.current
        return self._own if current is None else current

    @property
    def directories(self) -> tuple[Path, ...]:
        """All directories that surveys look into, the run's own first."""
        return (self._own, *(Path(place) for place in self._named_places()))

    def _named_places(self) -> tuple[str, ...]:
        if self._named is None:
            return ()
        # A verdict on files that had just changed is not remembered. But what an attempt was
        # resumed from is on record.
        known = (*self._memory, *(one.path for one in self.recorded.known()))
        return self._named.to_look_into(known)

    @property
    def is_busy(self) -> bool:
        """Whether a survey is under way."""
        return self._child.is_asked

    def begin(
        self,
        *,
        deciding: bool,
        pins: frozenset[str],
        times: AttemptTimes,
        search: SaveSearch | None = None,
        reads_clock: bool = False,
    ) -> SurveyFailed | None:
        """Start a survey. A failure to start one is an answer, too."""
        question = _Question(deciding, pins, replace(times), search, reads_clock)
        if self.is_busy and deciding and not self._deciding:
            self._waiting = question
            return None
        if self.is_busy:
            self.cancel()
        return self._ask(question)

    def _ask(self, question: _Question) -> SurveyFailed | None:
        self._deciding = question.deciding
        self._looked_into = self._named_places()
        request = SurveyRequest(
            directory=self._own,
            run_id=self._run_id,
            memory=self._memory,
            existing=self._existing,
            quiet=question.deciding,
            pins=question.pins,
            first_attempt_wall=question.times.first,
            begun_wall=question.times.begun,
            attempt_wall=question.times.started,
            ended_wall=question.times.ended,
            attempt_killed=question.times.was_killed,
            attempt_step=question.times.last_step,
            known=self.recorded.known(),
            mount=self.recorded.mount,
            search=question.search,
            pattern=self._pattern,
            # Only for a decision: snapshots change at each look, and would always be news.
            snapshots=self._snapshots if question.deciding else None,
            set_aside=self._set_aside,
            reads_clock=question.reads_clock,
            described=self._looked_into,
            bests=() if self._named is None else self._named.bests,
            run_dir=None if self._named is None else self._named.run_dir,
        )
        try:
            self._child.ask(request.to_json())
        except OSError as error:
            reason = f"the checkpoints cannot be looked at: {error}"
            return SurveyFailed(reason, deciding=question.deciding)
        return None

    @property
    def largest_bytes(self) -> int:
        """The size of the largest checkpoint known; 0 where none is."""
        return max((known.bytes for known in self._memory.values()), default=0)

    @property
    def most_files(self) -> int:
        """The highest number of files in a known checkpoint; 1 if none is known."""
        return max((len(known.hashes) for known in self._memory.values()), default=1) or 1

    def listing(self) -> tuple[tuple[str, int], ...]:
        """What a glance at the directories shows: it differs when a survey may bring news."""
        pattern = self._pattern
        patience = Patience(pattern)
        folders = dict.fromkeys((*self.directories, *self._nested.look(_WALK_S)))
        return tuple(sorted(one for folder in folders for one in self._glance(folder, patience)))

    def _glance(self, directory: Path, patience: Patience) -> list[tuple[str, int]]:
        is_below = directory != self._own and directory.is_relative_to(self._own)
        prefix = f"{directory.relative_to(self._own)}/" if is_below else ""
        found: list[tuple[str, int]] = []
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    # A name that was not tried for want of time may be a checkpoint's: a later look
                    # will try it.
                    if patience.is_over or self._may_be_checkpoint(entry.name):
                        changed_ns = entry.stat(follow_symlinks=False).st_mtime_ns
                        found.append((prefix + entry.name, changed_ns))
        except OSError:
            return []
        return found

    def _may_be_checkpoint(self, name: str) -> bool:
        return may_be_checkpoint(name, self._pattern) or may_be_told(name)

    def unrecognised(self, since_wall: float) -> tuple[str, ...]:
        """Files that look like weights, written since then, whose names are not recognised."""
        patience = Patience(self._pattern)
        try:
            with os.scandir(self.directory) as entries:
                found = [
                    entry.name
                    for entry in entries
                    if may_be_weights(entry.name)
                    and not patience.is_over
                    and parse_name(entry.name, self._pattern) is None
                    and entry.stat(follow_symlinks=False).st_mtime >= since_wall
                ]
        except OSError:
            return ()
        return tuple(sorted(found))

    @property
    def slow_name(self) -> str | None:
        """A name on which the user's own expression took too long, None if there is none."""
        return slow_name(self._pattern)

    def poll(self) -> Answer | None:
        """The answer, once it is there."""
        if self._failed is not None:
            failed, self._failed = self._failed, None
            return Answer(failed, None, ())
        said = self._child.poll()
        if said is None:
            return None
        try:
            survey = None if isinstance(said, str) else Survey.from_json(said)
            complaint = said
        except (ValueError, KeyError, TypeError, IndexError) as error:
            survey, complaint = None, f"{type(error).__name__}: {error}"
        if survey is None:
            reason = f"{self.directory}: the checkpoints cannot be read: {complaint}"
            answer = Answer(SurveyFailed(reason, deciding=self._deciding), None, ())
        else:
            news = tuple(self._remember(survey.entries))
            there = {str(entry.path) for entry in survey.entries}
            self._forgotten = {p: one for p, one in self._forgotten.items() if p in there}
            self.caveats = {
                str(e.path): f"{e.name}: {e.reason}" for e in survey.entries if e.valid and e.reason
            }
            missing = survey.missing
            self.unmounted = survey.bare_mount
            # Missing checkpoints may come back unchanged, with their mount: they stay remembered.
            gone = tuple(p for p in self._memory if p not in there) if missing is None else ()
            gone = tuple(p for p in gone if not self._is_elsewhere(p))
            for path in gone:
                del self._memory[path]
            named = frozenset(self._looked_into) - {str(self._own)}
            event = survey_event(survey, named, deciding=self._deciding)
            answer = Answer(event, survey, news, gone)
        question, self._waiting = self._waiting, None
        if question is not None:
            self._failed = self._ask(question)
        return answer

    def _is_elsewhere(self, path: str) -> bool:
        """Whether the checkpoint is in a named directory that the survey did not look into."""
        folder = str(Path(path).parent)
        named = frozenset[str]() if self._named is None else self._named.all()
        return folder in named and folder not in self._looked_into and folder != str(self._own)

    def _remember(self, entries: Iterable[CheckpointEntry]) -> Iterable[CheckpointEntry]:
        for entry in entries:
            known = entry.as_remembered()
            if known is None or entry.tier != Tier.DISK:
                continue
            if self._forgotten.get(str(entry.path)) == known:
                continue  # the survey saw it before it was moved away
            if self._memory.get(str(entry.path)) != known:
                self._memory[str(entry.path)] = known
                yield entry

    def forget(self, path: str) -> None:
        """Forget a checkpoint that was moved or removed, or is about to be."""
        known = self._memory.pop(path, None)
        if known is not None:
            self._forgotten[path] = known

    def cancel(self) -> None:
        """Give up the survey under way."""
        self._waiting = self._failed = None
        self._child.cancel()

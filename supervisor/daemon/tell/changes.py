"""Tells, after an attempt died of a failure, what is different from the last good attempt.

The record of an attempt is taken once it has begun to train; at its end if it never did. No launch
waits for it, and no decision depends on it.
"""

import os
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from supervisor.core.changed_status import ChangedStatus, DifferenceStatus
from supervisor.core.entries.attempt import (
    AttemptEndedEntry,
    AttemptStartedEntry,
    ChangedEntry,
    Difference,
)
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.run import IncidentEntry
from supervisor.core.entries.saves import ProgressEntry
from supervisor.core.last_good import GoodAttempt
from supervisor.core.rules.warm_launch import UNSEEN_BEGIN_S
from supervisor.core.vocabulary import Nature
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.look.surroundings.asking import Compared, SurroundingsChild
from supervisor.daemon.look.surroundings.comparing import (
    Change,
    bounded,
    in_order,
    step_time_change,
)
from supervisor.daemon.look.surroundings.variables import named_in
from supervisor.daemon.run import Run
from supervisor.daemon.tell.change_words import changed_text, difference_text
from supervisor.system.clock import monotonic_s, wall_s
from supervisor.system.durable import replace_file

# A run that ends waits so long for what is not yet known; nothing trains then.
LAST_WAIT_S = 2.0
_SAID_MOST = 3


@dataclass(frozen=True, slots=True)
class _Death:
    """An attempt that died of a failure; what is different is to be told."""

    attempt: int
    since: GoodAttempt
    ended_wall: float
    step_s: float | None


class Changes:
    """Follows the ledger, and asks the child for each attempt once."""

    def __init__(self, run: Run, child: SurroundingsChild | None = None) -> None:
        self._run = run
        self._child = child or SurroundingsChild()
        self._good = run.history.last_good
        self._asked = 0
        self._questions: deque[dict[str, Any]] = deque(maxlen=4)
        self._under_way: int | None = None
        self._compared: dict[int, Compared] = {}
        self._deaths: list[_Death] = []
        self._folders: dict[int, str] = {}
        self._began: tuple[int, float] = (0, 0.0)
        run.journal.listeners.append(self._note)

    @property
    def told(self) -> ChangedStatus | None:
        """What `status.json` says of the last attempt that ended."""
        changed = self._good.changed
        if changed is None:
            return None
        return ChangedStatus(
            attempt=changed.attempt,
            since=changed.since,
            differences=tuple(
                DifferenceStatus(one.kind, one.what, one.before, one.after, one.edited_s)
                for one in changed.differences
            ),
            more=changed.more,
        )

    def note_look(self, attempt: RunningAttempt, now: float) -> None:
        """Have the record taken once the attempt has begun to train."""
        look = attempt.look
        if attempt.number <= self._asked or look is None or attempt.pid is None:
            return
        seen = look.observed
        has_begun = seen.beating or seen.step is not None
        if has_begun or now - attempt.started_at >= UNSEEN_BEGIN_S:
            pids = [page.pid for page in look.pages if page.outcome is None]
            began = wall_s() - (now - attempt.started_at)
            self._ask(attempt.number, began, (*pids, attempt.pid))

    def _ask(self, attempt: int, began: float, pids: tuple[int, ...] = ()) -> None:
        before = self._good.before
        config = self._run.config
        self._asked = attempt
        self._questions.append({
            "attempt": attempt,
            "since": None if before is None else before.attempt,
            # A second earlier: the launcher's clock and the file server's are not this one.
            "began": began - 1.0,
            "folder": str(self._run.paths.surroundings),
            "run_id": self._run.run_id,
            "command": list(config.command),
            "env": dict(config.env),
            "named": sorted(named_in([*config.command, *config.env.values()])),
            "pids": list(pids),
        })  # fmt: skip

    def _note(self, entry: Entry) -> None:
        match entry:
            case AttemptStartedEntry(attempt=attempt):
                self._good = self._good.with_start(attempt)
                self._began = attempt, wall_s()
            case ProgressEntry():
                self._good = self._good.with_progress()
            case AttemptEndedEntry():
                self._good = self._good.with_end(entry.step_s)
                self._note_end(entry)
            case IncidentEntry(attempt=int(attempt), folder=str(folder)):
                self._folders = {attempt: folder}

    def _note_end(self, entry: AttemptEndedEntry) -> None:
        attempt, good = entry.attempt, self._good
        if attempt is None or attempt != good.attempt:
            return
        failure = entry.failure
        is_failure = failure is not None and failure.nature is not Nature.ORDINARY
        is_death = is_failure and entry.stop_requested is None and good.before is not None
        if is_death and good.before is not None:
            death = _Death(attempt, good.before, wall_s(), entry.step_s)
            self._deaths = [*self._deaths, death][-2:]
        if attempt > self._asked and (is_death or good.has_progressed):
            began = self._began[1] if self._began[0] == attempt else 0.0
            self._ask(attempt, began)

    def poll(self, now: float) -> None:
        """Take the child's answer, ask the next question, and tell what is known by now."""
        if self._under_way is not None and (found := self._child.poll(now)) is not None:
            self._take(self._under_way, found)
            self._under_way = None
        while self._under_way is None and self._questions:
            question = self._questions.popleft()
            refused = self._child.ask(question, now)
            if refused is None:
                self._under_way = int(question["attempt"])
            else:
                self._take(int(question["attempt"]), refused)
        for death in [one for one in self._deaths if one.attempt in self._compared]:
            self._deaths.remove(death)
            self._tell(death, self._compared[death.attempt])

    def _take(self, attempt: int, found: Compared) -> None:
        if found.problem is not None:
            self._run.journal.log.warning(
                "surroundings_not_known", attempt=attempt, why=found.problem
            )
        # Of the last two attempts: the one before may still be waiting to be told.
        last = dict(list(self._compared.items())[-1:])
        self._compared = {**last, attempt: found}

    def finish(self) -> None:
        """The run ends: wait a moment for what is not yet known."""
        until = monotonic_s() + LAST_WAIT_S
        self.poll(monotonic_s())
        while (self._under_way is not None or self._questions) and monotonic_s() < until:
            time.sleep(0.01)
            self.poll(monotonic_s())
        self._child.cancel()

    def _tell(self, death: _Death, compared: Compared) -> None:
        slower = step_time_change(death.since.step_s, death.step_s)
        found = in_order([*compared.changes, *([] if slower is None else [slower])])
        listed, more = bounded(found, compared.more)
        if not listed:
            return
        entry = ChangedEntry(
            attempt=death.attempt,
            since=death.since.attempt,
            differences=tuple(_difference(one, death.ended_wall) for one in listed),
            more=more,
        )
        self._run.journal.record(entry)
        self._good = self._good.with_change(entry)
        said = changed_text(entry, most=_SAID_MOST)
        self._run.console.say(f"attempt {death.attempt}: {said}")
        folder = self._folders.get(death.attempt)
        if folder is not None:
            self._write(Path(folder), entry)

    def _write(self, folder: Path, entry: ChangedEntry) -> None:
        """Add it to the incident, one difference a line."""
        lines = [f"changed since attempt {entry.since}:", *map(difference_text, entry.differences)]
        lines += [f"and {entry.more} more"] if entry.more else []
        text = "\n".join(lines) + "\n"
        try:
            replace_file(folder / "changed.txt", os.fsencode(text), sync=False)
        except OSError as error:
            self._run.journal.log.warning("incident_not_completed", error=str(error))


def _difference(one: Change, ended_wall: float) -> Difference:
    edited_s = None if one.edited is None else round(ended_wall - one.edited, 1)
    if edited_s is not None and edited_s < 0.0:
        edited_s = None  # another machine's clock
    found = Difference(kind=one.kind, what=one.what, before=one.before, after=one.after)
    return replace(found, edited_s=edited_s)

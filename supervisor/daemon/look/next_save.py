"""When the trainer's own next save is due: learned from its complete saves, told to its loop.

A loop that no adapter can have save asks this at SIGTERM: `next-save.json` in the heartbeat
directory. The interval is that between complete and proven checkpoints.
"""

import json
from collections import deque
from pathlib import Path

from supervisor.core.entries.saves import SaveIntervalEntry
from supervisor.core.sign_of_life import SaveTimes
from supervisor.core.vocabulary import Tier
from supervisor.daemon.run import Run
from supervisor.survey.answer import Survey
from supervisor.system.clock import monotonic_s, wall_s
from supervisor.system.durable import replace_file
from supervisor.worker.sign_layout import NEXT_SAVE

# The longest of so many: a best checkpoint beside each other one halves every second interval.
_INTERVALS = 8
# The ledger gets another interval only if it differs by this part.
_DIFFERENCE = 0.1
_ENTRIES_MAX = 50
# It takes longer to prove a save. Without this a loop that has just saved would seem to be due.
_SETTLED_S = 3.0


class NextSave:
    """The times of one run's saves. The interval outlives attempts and daemons in the ledger."""

    def __init__(self, run: Run) -> None:
        self._run = run
        known = run.history.save_interval_s
        self._intervals: deque[float] = deque([] if known is None else [known], maxlen=_INTERVALS)
        self._recorded = known
        self._entries = 0
        self._attempt = 0
        self._since_wall = 0.0
        self._seen: dict[str, float] = {}
        self._last: float | None = None
        """When the last proven save was complete, seconds since 1970."""
        self._proven_at: float | None = None
        """The same by CLOCK_MONOTONIC."""
        self._is_proof_awaited = False
        """Whether a save came since then that is not proven yet: it may still be being written."""
        self._newest = 0.0
        self._since: float | None = None
        """When the newest save was written, by CLOCK_MONOTONIC."""
        self._grace_s: float | None = None
        """The time that a stop of this attempt has, if it is under way."""
        self._stop_s: float | None = None
        """When that stop was last sent, by CLOCK_MONOTONIC."""
        self._written: tuple[Path, bytes] | None = None

    def follow(self, attempt: int, started_at: float) -> None:
        """An attempt runs since then, monotonic seconds: only its saves tell when one is due."""
        if attempt == self._attempt:
            return
        self._attempt = attempt
        self._since_wall = wall_s() - (monotonic_s() - started_at)
        self._seen, self._last, self._since, self._entries = {}, None, None, 0
        self._newest, self._grace_s, self._stop_s = 0.0, None, None
        self._proven_at, self._is_proof_awaited = None, False

    @property
    def interval_s(self) -> float | None:
        """The longest of the last intervals between two complete saves; None if none is known."""
        return max(self._intervals, default=None)

    def note_survey(self, survey: Survey) -> None:
        """Take in the saves that a survey has found complete and proven."""
        found = sorted(
            (entry.mtime, str(entry.path))
            for entry in survey.entries
            if entry.valid and entry.own_run and entry.tier == Tier.DISK
        )
        for written, path in found:
            if written < self._since_wall or self._seen.get(path, 0.0) >= written:
                continue
            self._seen[path] = written
            if self._last is not None and written > self._last:
                self._intervals.append(written - self._last)
            if self._last is None or written > self._last:
                self._last, self._proven_at = written, _by_monotonic(written)
        self._note_newest(survey)

    def _note_newest(self, survey: Survey) -> None:
        """Note when the newest save was written, proven or not: the next one comes after it.

        A file that changed just now may still be being written.
        """
        now = wall_s()
        saves = [
            (entry.mtime, bool(entry.valid))
            for entry in survey.entries
            if entry.valid is not False and entry.own_run and entry.tier == Tier.DISK
            if entry.mtime >= self._since_wall
        ]
        unproven = (written for written, is_proven in saves if not is_proven)
        self._is_proof_awaited = max(unproven, default=0.0) > (self._last or 0.0)
        # The clock of a file server may be ahead.
        known = (at for at, is_proven in saves if is_proven or now - at >= _SETTLED_S)
        written = max(known, default=0.0)
        if written > self._newest:
            self._newest, self._since = written, _by_monotonic(written)

    @property
    def written_at(self) -> float | None:
        """When the newest save was written, proven or not, by CLOCK_MONOTONIC; None: not known."""
        return self._since

    @property
    def times(self) -> SaveTimes | None:
        """The last proven save, and when the next one is expected; None where that is not known.

        Unlike what the loop is told, no unproven save counts here: in a pause of its write it would
        look complete, and the loop would be ended in the middle of it.
        """
        interval_s, at = self.interval_s, self._proven_at
        if interval_s is None or at is None or self._is_proof_awaited:
            return None
        return SaveTimes(written_at=at, due_at=at + interval_s)

    def _record(self, now: float) -> None:
        before = self._recorded
        if self._entries >= _ENTRIES_MAX:
            return
        if before is None or abs(now - before) > _DIFFERENCE * before:
            self._recorded, self._entries = now, self._entries + 1
            entry = SaveIntervalEntry(attempt=self._attempt, interval_s=round(now, 3))
            self._run.journal.record(entry)

    def tell(self, heartbeat_dir: Path, grace_s: float | None = None) -> None:
        """Write the file for the loop if anything in it has changed.

        `grace_s`: what a stop has that is sent now. A loop waits for its save at no other SIGTERM.
        A directory that refuses costs the loop its own save at a stop, and nothing else.
        """
        if grace_s is not None:
            self._grace_s, self._stop_s = grace_s, round(monotonic_s(), 3)
        interval_s = self.interval_s
        if interval_s is None:
            return
        self._record(interval_s)
        told = {
            "interval_s": round(interval_s, 3),
            "since_s_monotonic": None if self._since is None else round(self._since, 3),
            "grace_s": self._run.config.grace if self._grace_s is None else self._grace_s,
            "stop_s_monotonic": self._stop_s,
        }
        body = json.dumps(told).encode()
        if self._written == (heartbeat_dir, body):
            return
        try:
            replace_file(heartbeat_dir / NEXT_SAVE, body, sync=False)
        except OSError as error:
            self._run.journal.log.warning("next_save_not_told", error=str(error))
        self._written = (heartbeat_dir, body)


def _by_monotonic(written: float) -> float:
    """A file's time by CLOCK_MONOTONIC. No file is written before it is seen."""
    return monotonic_s() - max(wall_s() - written, 0.0)

"""Makes the run's record anew when it is removed under the run (`rm run.lock`, `rm -rf`).

A second supervisor learns of this run from these files alone. Without them it would start.
"""

import errno
import os
from pathlib import Path

from supervisor.core.entries.run import RecordRemadeEntry
from supervisor.core.vocabulary import Intent
from supervisor.daemon.launcher_link import LauncherLink
from supervisor.daemon.run import Run
from supervisor.launcher.messages import RelockedReport, RelockOrder
from supervisor.rundir.intent import write_intent
from supervisor.system import journal_stream
from supervisor.system.durable import make_durably, write_durably

# A running `rm -rf` must end first: with a new file in the directory it would fail.
GONE_FOR_S = 1.0
AGAIN_S = 10.0
# At every other poll: the look costs four system calls, and a removal hardly ever happens.
LOOK_S = 0.9
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


def is_removed(fd: int, path: Path) -> bool:
    """Whether `path` no longer names the file open as `fd`; False where that is not certain.

    Another inode number alone proves nothing: some FUSE file systems change it.
    """
    try:
        there = path.stat()
    except OSError as error:
        return error.errno in _ABSENT
    try:
        held = os.fstat(fd)
        if (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino):
            return False
        return held.st_nlink == 0 or os.pread(fd, 1 << 16, 0) != path.read_bytes()
    except OSError:
        return False


class RecordGuard:
    """Looks each second whether lock and ledger are still there, and makes them anew."""

    def __init__(self, run: Run, lock_fd: int, link: LauncherLink) -> None:
        self._run = run
        self._lock_fd = lock_fd
        self._link = link
        self._since: float | None = None
        self._look_at = self._again_at = 0.0
        self._has_relocked = False
        self._said: str | None = None

    def look(self, now: float, intent: Intent) -> None:
        """Look, and have the launcher take the lock anew where the record is gone."""
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        paths = self._run.paths
        if self._lock_fd < 0 or self._link.is_lost or not self._is_lost():
            self._since = None
            return
        self._since = now if self._since is None else self._since
        if now - self._since < GONE_FOR_S or now < self._again_at:
            return
        self._again_at = now + AGAIN_S
        try:
            self._make_place(intent)
        except OSError as error:
            self._say(f"the record cannot be made again: {error.strerror or error}")
            return
        self._has_relocked = is_removed(self._lock_fd, paths.lock)
        self._link.send(RelockOrder(path=str(paths.lock), fd=self._lock_fd))

    def remade(self, report: RelockedReport) -> bool:
        """Take the launcher's answer; True once the record is whole, for a new daemon to open."""
        if report.error is not None:
            self._say(f"the run's lock cannot be taken anew: {report.error}")
            return False
        try:
            lost = self._restore()
        except OSError as problem:
            self._say(f"the record cannot be made again: {problem.strerror or problem}")
            return False
        self._run.journal.record(RecordRemadeEntry(lost=tuple(lost)))
        self._say(f"made anew: {', '.join(lost)}; training goes on")
        return True

    def _is_lost(self) -> bool:
        ledger = self._run.journal.ledger
        return is_removed(self._lock_fd, self._run.paths.lock) or ledger.is_removed()

    def _make_place(self, intent: Intent) -> None:
        """The directory for the record, with the intent that stands. Raises OSError."""
        place = self._run.paths.state_dir
        above = place
        while not above.is_dir():
            above = above.parent
        if above.stat().st_dev != os.fstat(self._lock_fd).st_dev:
            # An empty mount point: a record there would be hidden by the next mount.
            raise OSError(
                errno.ENODEV, f"{above} is on another file system; is the right one mounted?"
            )
        make_durably(self._run.paths.run_dir)
        make_durably(place, mode=0o700)
        if intent is not Intent.RUN and not self._run.paths.intent.exists():
            write_intent(self._run.paths.intent, intent)

    def _restore(self) -> list[str]:
        """Write again each file that is missing, and return their names. Raises OSError."""
        run, lost = self._run, ["run.lock"] if self._has_relocked else []
        if run.journal.ledger.restore():
            lost.append(run.paths.ledger.name)
        if not run.paths.config.exists():
            write_durably(run.paths.config, run.config.to_json().encode() + b"\n")
            lost.append(run.paths.config.name)
        run.journal.ledger.ensure_reserve()
        return lost

    def _say(self, what: str) -> None:
        line = f"{self._run.paths.state_dir}: the record of this run was removed: {what}"
        self._run.journal.log.error("record_removed", what=what)
        if line != self._said:
            self._run.console.say(line, journal_stream.WARNING)
        self._said = line

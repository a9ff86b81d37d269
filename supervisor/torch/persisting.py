"""The persister from the trainer's side: one of its own where nobody brings one, and its board."""

import logging
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from supervisor.memory import persister_process
from supervisor.memory.persist import persist
from supervisor.memory.persister_status import PersisterRecord, Result, read_board
from supervisor.memory.seal import Snapshot
from supervisor.memory.slots import (
    Lock,
    SnapshotPaths,
    Whole,
    is_locked,
    read_whole,
    remove_root,
    wake,
)
from supervisor.torch.outcome import Saved

_log = logging.getLogger("supervisor.torch")
_POLL_S = 0.005
_LOOK_S = 0.25
# No persister for so long: the trainer does it itself. A launcher starts one within a second.
UNATTENDED_S = 5.0
# A persister that does something else, or cannot tell, for so long.
UNHEARD_S = 60.0
_AGAIN_S = 10.0


class Persisting:
    """What became of the snapshots that were wanted on the disk."""

    def __init__(self, root: Path, *, is_own: bool) -> None:
        """`is_own`: nobody else starts a persister for this directory."""
        self.root = root
        self._paths = SnapshotPaths(root)
        self._is_own = is_own
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = float("-inf")
        self._waiting: dict[int, tuple[int, Path]] = {}
        self._ended: dict[int, Saved] = {}
        self._seen: tuple[int, int] | None = None
        self._doubtful = -1

    @property
    def newest_waiting(self) -> int | None:
        """The newest sequence that is wanted and has no result."""
        return max(self._waiting, default=None)

    @property
    def newest_waiting_step(self) -> int | None:
        """The step of that one."""
        return None if not self._waiting else self._waiting[max(self._waiting)][0]

    def start(self) -> None:
        """See that there is a persister, if that is this process's business."""
        if not self._is_own or time.monotonic() - self._started_s < _AGAIN_S:
            return
        if self._process is not None and self._process.poll() is None:
            return
        self._started_s = time.monotonic()
        self._let_go()
        # a pipe for `close`, and the pid for a death: workers that were forked hold the pipe
        until = ("--until-pid", str(os.getpid()))
        try:
            self._process = persister_process.start(self.root, *until, "--rescue-at-end")
        except OSError as error:
            # what is in memory is whole, and who waits for the disk does it without one
            _log.warning("no process can be started that puts snapshots onto the disk: %s", error)

    def want(self, sequence: int, step: int, path: Path) -> None:
        """A snapshot is whole that is to be at that path on the disk."""
        self._waiting[sequence] = (step, path)

    def fail(self, sequence: int, record: Snapshot, error: str) -> None:
        """A snapshot that was wanted on the disk did not become whole."""
        path = Path(record.directory, record.name)
        self._ended[sequence] = Saved("failed", record.step, path, error)

    def keep_only(self, whole: set[int]) -> None:
        """Only these sequences are still in memory: others that waited are not to come."""
        gone = self._waiting.keys() - whole
        if not gone:
            return
        board = read_board(self.root)
        for sequence in sorted(gone):
            if board is not None and _is_at(board, sequence):
                # it let go of the slot a moment ago, and is about to tell how that ended
                self._doubtful = sequence
            else:
                self._replace(sequence)

    def _replace(self, sequence: int) -> None:
        step, path = self._waiting.pop(sequence)
        error = "a newer one was wanted while this one waited for the disk"
        self._ended[sequence] = Saved("replaced", step, path, error)

    def ring(self) -> None:
        """Tell the persister that there is something to do."""
        self.start()
        wake(self.root)

    def look(self) -> None:
        """Read the board, if something waits and it says something new."""
        if not self._waiting:
            return
        try:
            facts = self._paths.board.lstat()
        except OSError:
            return
        seen = (facts.st_ino, facts.st_mtime_ns)
        if seen == self._seen:
            return
        self._seen = seen
        board = read_board(self.root)
        if board is None:
            return
        for result in board.results:
            if result.sequence in self._waiting:
                _, path = self._waiting.pop(result.sequence)
                self._ended[result.sequence] = _saved(result, path)
            if result.ok and result.finite is not False:
                # the persister takes the newest first, and leaves what is older than that
                for older in [one for one in list(self._waiting) if one < result.sequence]:
                    self._replace(older)
        if self._doubtful in self._waiting and not _is_at(board, self._doubtful):
            self._replace(self._doubtful)

    def news(self) -> list[Saved]:
        """What ended since the last call, but for what was waited for."""
        self.look()
        found, self._ended = list(self._ended.values()), {}
        return found

    def wait_for(self, sequence: int) -> Saved | None:
        """How a wanted snapshot ended; None if nobody can tell, so that it has to go another way.

        Persists it in this process if there is no persister.
        """
        last_alive_s = last_heard_s = look_at = time.monotonic()
        while sequence in self._waiting:
            now = time.monotonic()
            if now >= look_at:
                look_at = now + _LOOK_S
                self.ring()
                if is_locked(self._paths.persister_lock):
                    last_alive_s = now
                board = read_board(self.root)
                if board is not None and _is_at(board, sequence):
                    last_heard_s = now
                if now - last_alive_s > UNATTENDED_S:
                    self._do_it_here(sequence)
                elif now - last_heard_s > UNHEARD_S:
                    del self._waiting[sequence]
            self.look()
            time.sleep(_POLL_S)
        return self._ended.pop(sequence, None)

    def drain(self) -> None:
        """Return when nothing waits, or nobody can tell any more."""
        while self._waiting:
            sequence = max(self._waiting)
            step, path = self._waiting[sequence]
            ended = self.wait_for(sequence)
            if ended is None:
                ended = Saved("failed", step, path, "the persister does not answer")
            self._ended[sequence] = ended

    def wait_for_room(self, patience_s: float) -> bool:
        """Wait until nothing waits for the disk; False if that takes longer."""
        deadline = time.monotonic() + patience_s
        self.look()
        while self._waiting and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            self.look()
        return not self._waiting

    def forget(self) -> None:
        """The directory vanished, and all that was wanted in it."""
        self.keep_only(set())
        self._seen = None
        self._started_s = float("-inf")

    def close(self) -> str | None:
        """End an own persister when it has done everything; what it had to say, if not all well."""
        if self._process is None:
            if self._is_own:
                self._remove_what_is_empty()
            return None
        self._let_go()
        if os.path.lexists(self.root):
            return f"a snapshot stays in {self.root}: it could not be put onto the disk"
        return None

    def _remove_what_is_empty(self) -> None:
        """Of a training that ended before its first snapshot, for which nothing was started."""
        with suppress(OSError), Lock(self._paths.persister_lock) as lock:
            if (
                lock.acquire()
                and not read_whole(self.root)
                and not is_locked(self._paths.writer_lock)
            ):
                remove_root(self.root)

    def become_bystander(self) -> None:
        """In a forked child: the persister is none of its business."""
        if self._process is not None and self._process.stdin is not None:
            # the parent's end of file has to be the last
            with suppress(OSError):
                self._process.stdin.close()
        self._process = None
        self._is_own = False

    def _let_go(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait()

    def _do_it_here(self, sequence: int) -> None:
        with Lock(self._paths.persister_lock) as lock:
            if not lock.acquire():
                return  # one came after all
            step, path = self._waiting.pop(sequence)
            for whole in read_whole(self.root):
                if whole.sequence == sequence:
                    self._ended[sequence] = _persist_here(whole, step, path)


def _is_at(board: PersisterRecord, sequence: int) -> bool:
    return board.current is not None and board.current.sequence == sequence


def _saved(result: Result, path: Path) -> Saved:
    place = path if result.path is None else Path(result.path)
    if not result.ok:
        return Saved("failed", result.step, place, result.error)
    facts = (None, result.bytes, result.seconds, result.finite)
    return Saved("saved", result.step, place, *facts)


def _persist_here(whole: Whole, step: int, path: Path) -> Saved:
    try:
        done = persist(whole)
    except (OSError, ValueError) as error:
        return Saved("failed", step, path, str(error))
    return Saved("saved", step, done.path, None, done.bytes, done.seconds, done.finite)

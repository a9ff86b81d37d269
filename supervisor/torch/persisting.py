"""The persister as the trainer sees it: its board, and its start where no supervisor starts it."""

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
# After so long without a persister the trainer persists itself. A launcher starts one in a second.
UNATTENDED_S = 5.0
# After so long a persister that does something else, or cannot tell, is no longer waited for.
UNHEARD_S = 60.0
_AGAIN_S = 10.0


class Persisting:
    """What became of the snapshots that were wanted on the disk."""

    def __init__(self, root: Path, *, is_own: bool) -> None:
        """`is_own`: this process has to start the persister for the directory."""
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
        """The step of `newest_waiting`."""
        return None if not self._waiting else self._waiting[max(self._waiting)][0]

    def start(self) -> None:
        """Start a persister if this process has to and it has none."""
        if not self._is_own or time.monotonic() - self._started_s < _AGAIN_S:
            return
        if self._process is not None and self._process.poll() is None:
            return
        self._started_s = time.monotonic()
        self._let_go()
        # `close` ends it by the pipe, a death by the pid: forked workers hold the pipe open
        until = ("--until-pid", str(os.getpid()))
        try:
            self._process = persister_process.start(self.root, *until, "--rescue-at-end")
        except OSError as error:
            # snapshots in memory are whole, and `wait_for` persists without a persister
            _log.warning(
                "the process that saves snapshots to the disk cannot be started: %s", error
            )

    def want(self, sequence: int, step: int, path: Path) -> None:
        """Note that a snapshot is whole, and wanted on the disk at that path."""
        self._waiting[sequence] = (step, path)

    def fail(self, sequence: int, record: Snapshot, error: str) -> None:
        """Note that a snapshot that was wanted on the disk did not become whole."""
        path = Path(record.directory, record.name)
        self._ended[sequence] = Saved("failed", record.step, path, error)

    def keep_only(self, whole: set[int]) -> None:
        """Note that only these sequences are still in memory: others that waited are replaced."""
        gone = self._waiting.keys() - whole
        if not gone:
            return
        board = read_board(self.root)
        for sequence in sorted(gone):
            if board is not None and _is_at(board, sequence):
                # the persister has just released the slot, and is about to tell how that ended
                self._doubtful = sequence
            else:
                self._replace(sequence)

    def _replace(self, sequence: int) -> None:
        step, path = self._waiting.pop(sequence)
        error = "a newer save replaced this one while it waited for the disk"
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
                # the persister takes the newest first, and skips those that are older
                for older in [one for one in list(self._waiting) if one < result.sequence]:
                    self._replace(older)
        if self._doubtful in self._waiting and not _is_at(board, self._doubtful):
            self._replace(self._doubtful)

    def news(self) -> list[Saved]:
        """The saves that ended since the last call, without those that `wait_for` returned."""
        self.look()
        found, self._ended = list(self._ended.values()), {}
        return found

    def wait_for(self, sequence: int) -> Saved | None:
        """Wait for a wanted snapshot, and return how it ended; None if the persister cannot tell.

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
        """Return when no snapshot waits. If the persister cannot tell of one, that has failed."""
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
        """Note that the directory vanished, with all that was wanted in it."""
        self.keep_only(set())
        self._seen = None
        self._started_s = float("-inf")

    def close(self) -> str | None:
        """End this process's persister once it has done everything; return what went wrong."""
        if self._process is None:
            if self._is_own:
                self._remove_what_is_empty()
            return None
        self._let_go()
        if os.path.lexists(self.root):
            return f"a snapshot stays in {self.root}: it could not be put onto the disk"
        return None

    def _remove_what_is_empty(self) -> None:
        """Remove the directory of a training that ended before its first snapshot."""
        with suppress(OSError), Lock(self._paths.persister_lock) as lock:
            if (
                lock.acquire()
                and not read_whole(self.root)
                and not is_locked(self._paths.writer_lock)
            ):
                remove_root(self.root)

    def become_bystander(self) -> None:
        """Let go of the persister, in a forked child."""
        if self._process is not None and self._process.stdin is not None:
            # else the persister would not see the parent's end of file
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
                return  # a persister came after all
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

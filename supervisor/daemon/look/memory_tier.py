"""The memory tier as the daemon sees it, once a second, and what it asks the persister for.

It copies nothing itself: a slow disk must not stall the daemon. Where nothing changed a look costs
two small reads and a stat.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from supervisor.core.events import Event, MemorySeen, Rescued
from supervisor.core.snapshot_facts import MemorySnapshot
from supervisor.core.status import PersisterStatus, SnapshotStatus
from supervisor.daemon.launcher_link import LauncherLink, Send
from supervisor.launcher.messages import Noted, PersisterOrder, SignalReport
from supervisor.memory import persist_request
from supervisor.memory.persisted import find_persisted, withdraw
from supervisor.memory.persister_status import PersisterRecord, Result, read_board
from supervisor.memory.queue import newer_on_disk, next_wanted
from supervisor.memory.slots import (
    SnapshotPaths,
    Whole,
    is_locked,
    read_whole,
    void,
    wake,
)
from supervisor.memory.snapshot_proof import read_verdict
from supervisor.memory.space import used_bytes
from supervisor.system.clock import monotonic_s, wall_s

# Assumed until a persist was timed: slower than any disk that is used for checkpoints.
UNKNOWN_BYTES_PER_S = 50e6
SIZED_EVERY_S = 5.0
# With a snapshot at every step, each look costs a third of a millisecond.
LOOK_EVERY_S = 1.0
LEAVE_S = 30.0
# A persister that has not answered a rescue by now is not waited for longer.
LEAVE_UNANSWERED_S = 2.0
_LEAVE_POLL_S = 0.02
_DURABLE = frozenset({"persisted", "already"})


class PersistFailure(NamedTuple):
    """A persist that failed; `is_first`: the first failure since a success."""

    result: Result
    is_first: bool


class Snapshots:
    """The snapshot directory of one run: its slots, its board, and the way to its persister."""

    def __init__(
        self,
        root: Path,
        send: Send,
        emit: Callable[[Event], None],
        *,
        failures_known_until: float = 0.0,
    ) -> None:
        """`failures_known_until`: wall seconds; what failed before is on record already."""
        self._paths = SnapshotPaths(root)
        self._slots = [str(slot.folder) for slot in self._paths.slots]
        self._board_path = str(self._paths.board)
        self._send = send
        self._emit = emit
        self._known_until = failures_known_until
        self._wholes: list[Whole] = []
        self._board: PersisterRecord | None = None
        self._board_seen: tuple[int, int] | None = None
        self._told: MemorySnapshot | None = None
        self._seen: frozenset[tuple[int, float]] = frozenset()
        self._in_a_row = 0
        self._is_ordered = False
        self._asked: int | None = None
        self._sized = (float("-inf"), 0)
        self._look_at = float("-inf")

    def poll(self, now: float) -> list[PersistFailure]:
        """Look if it is time: what changed becomes an event; persists that failed are returned."""
        if now < self._look_at:
            return []
        self._look_at = now + LOOK_EVERY_S
        return self.look()

    def look(self) -> list[PersistFailure]:
        """Look now."""
        # Most trainers keep no snapshots, and this look comes with each of the loop's.
        has_slots = any(map(os.path.isdir, self._slots))
        self._wholes = read_whole(self._paths.root) if has_slots else []
        self._read_board()
        if not self._is_ordered and has_slots:
            self.order()
        memory = self._memory()
        if memory != self._told:
            self._told = memory
            self._emit(MemorySeen(memory))
        self._take_answer()
        return self._new_failures()

    def _read_board(self) -> None:
        try:
            facts = os.lstat(self._board_path)
        except OSError:
            self._board, self._board_seen = None, None
            return
        # The board is replaced as a whole: a new one has another inode or another time.
        seen = (facts.st_ino, facts.st_mtime_ns)
        if seen != self._board_seen:
            self._board, self._board_seen = read_board(self._paths.root), seen

    def _memory(self) -> MemorySnapshot | None:
        if not self._wholes:
            return None
        newest = self._wholes[0]
        size = newest.snapshot.bytes
        takes_s = size / (self._bytes_per_s() or UNKNOWN_BYTES_PER_S)
        return MemorySnapshot(
            newest.sequence, newest.snapshot.step, self._is_durable(newest), takes_s
        )

    def _is_durable(self, whole: Whole) -> bool:
        if self._board is None:
            return False
        results = self._board.results
        this = any(one.ok and one.sequence == whole.sequence for one in results)
        return this or newer_on_disk(whole, self._board) is not None

    def _is_there(self, whole: Whole) -> bool:
        if self._board is None:
            return False
        return find_persisted(whole) is not None or newer_on_disk(whole, self._board) is not None

    def _bytes_per_s(self) -> float | None:
        """The speed of the last persist that wrote something; others find it written already."""
        for result in reversed(self._board.results if self._board else ()):
            if result.ok and result.seconds > 0.0 and result.bytes:
                return result.bytes / result.seconds
        return None

    def _new_failures(self) -> list[PersistFailure]:
        results = self._board.results if self._board is not None else ()
        found = []
        for result in results:
            if (result.sequence, result.at) in self._seen:
                continue
            if result.ok:
                self._in_a_row = 0
            elif result.at > self._known_until:
                self._in_a_row += 1
                found.append(PersistFailure(result, self._in_a_row == 1))
        self._seen = frozenset((result.sequence, result.at) for result in results)
        return found

    def order(self) -> None:
        """Have the launcher start a persister, unless one lives."""
        self._is_ordered = True
        self._send(PersisterOrder(directory=str(self._paths.root)))

    def forget_order(self) -> None:
        """Order a persister again with the next slot: the launcher, or the directory, was lost."""
        self._is_ordered = False

    def rescue(self, why: str) -> None:
        """Ask for the newest snapshot to be put on the disk; the answer comes as `Rescued`."""
        self.order()
        try:
            self._asked = persist_request.ask(self._paths.root, why)
        except OSError as error:
            self._asked = None
            self._emit(Rescued(is_durable=False, error=f"it cannot be asked for: {error.strerror}"))

    @property
    def is_asked(self) -> bool:
        """Whether an answer of the persister is awaited."""
        return self._asked is not None

    def poll_answer(self) -> None:
        """Look only for the answer: one stat, until the board changes."""
        if self._asked is not None:
            self._read_board()
            self._take_answer()

    def _take_answer(self) -> None:
        if self._asked is None:
            return
        answer = self._board.rescue if self._board is not None else None
        if answer is not None and answer.id >= self._asked:
            self._asked = None
            self._emit(Rescued(answer.outcome in _DURABLE, answer.error))
        elif persist_request.read(self._paths.root) is None:
            self._asked = None
            self._emit(Rescued(is_durable=False, error="its directory in memory vanished"))

    def holds(self, path: str) -> bool:
        """Whether this checkpoint's path is that of a snapshot in memory."""
        return Path(path).is_relative_to(self._paths.root)

    def void(self, path: str, *, wherever: bool) -> bool:
        """Give up the slot that holds this snapshot; False if no slot does. Raises OSError.

        `wherever`: the run goes back behind it, so its checkpoint on the disk is withdrawn as well.
        """
        for whole in read_whole(self._paths.root):
            if str(whole.path) == path:
                void(whole.slot, is_bad=not wherever)
                if wherever:
                    wake(self._paths.root)  # the persister withdraws too, and again if this fails
                    withdraw(whole)
                return True
        return False

    def snapshot_status(self) -> SnapshotStatus | None:
        """The newest snapshot in memory; None without one."""
        if not self._wholes:
            return None
        newest = self._wholes[0].snapshot
        now = monotonic_s()
        if now - self._sized[0] >= SIZED_EVERY_S:
            self._sized = (now, used_bytes(self._paths.root))
        return SnapshotStatus(
            step=newest.step,
            age_s=round(max(wall_s() - newest.written, 0.0), 2),
            bytes=newest.bytes,
            slots=len(self._wholes),
            tmpfs_bytes=self._sized[1],
        )

    def persister_status(self) -> PersisterStatus | None:
        """What the persister does; None before the first one."""
        board = self._board
        if board is None:
            return None
        current = board.current
        rate = self._bytes_per_s()
        if current is not None and current.done_bytes:
            rate = current.done_bytes / max(wall_s() - current.since, 1e-3)
        waiting = next_wanted(self._wholes, board)
        is_waiting = waiting is not None and (
            current is None or current.sequence != waiting.sequence
        )
        last = board.results[-1] if board.results else None
        done = None if current is None else round(current.done_bytes / max(current.bytes, 1), 3)
        return PersisterStatus(
            state=board.state if board.is_of_living else "absent",
            step=None if current is None else current.step,
            done=done,
            bytes_per_s=None if rate is None else round(rate),
            last_error=None if last is None or last.ok else last.error,
            pending=waiting.snapshot.step if waiting is not None and is_waiting else None,
        )

    @property
    def only_in_memory(self) -> Whole | None:
        """The newest snapshot that is not known to be bad, if it is not on the disk.

        The disk itself is looked at: a persisted checkpoint may have rotted and been set aside.
        """
        for whole in self._wholes:
            verdict = read_verdict(whole)
            if verdict is None or (verdict.finite is not False and verdict.problem is None):
                return None if self._is_there(whole) else whole
        return None

    def let_go(self, link: LauncherLink) -> None:
        """Let the persister finish, and wait until it has, for a bounded time."""
        if self._is_ordered or os.path.lexists(self._paths.persister_lock):
            limit_s = LEAVE_S if self._asked is None else LEAVE_UNANSWERED_S
            self._send(PersisterOrder(patience_s=limit_s))
            deadline = monotonic_s() + limit_s
            while is_locked(self._paths.persister_lock) and monotonic_s() < deadline:
                link.wait(_LEAVE_POLL_S)
                for report in link.receive() if not link.is_lost else ():
                    if isinstance(report, SignalReport):
                        # The launcher would replace a daemon that does not answer.
                        link.send(Noted())
                        if report.signal == "INT":
                            deadline = 0.0  # Ctrl-C ends the wait

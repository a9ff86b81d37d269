"""The one process that puts snapshots onto the disk: it does what is next, and tells how it went.

It outlives trainer and daemon. No snapshot and no disk may end it: a failure is a result.
"""

import sys
import time
from pathlib import Path

from supervisor.memory import persist_request, queue
from supervisor.memory.persist import persist
from supervisor.memory.persisted import withdraw
from supervisor.memory.persister_status import (
    MOST_RESULTS,
    Current,
    PersisterRecord,
    PersisterState,
    RescueOutcome,
    RescueResult,
    Result,
    Why,
    blank_board,
    read_board,
    write_board,
)
from supervisor.memory.slots import (
    Lock,
    SnapshotPaths,
    Whole,
    is_locked,
    read_given_up,
    read_whole,
    remove_root,
    settle,
)
from supervisor.memory.snapshot_proof import vet
from supervisor.memory.wakeup_fifo import WakeupFifo
from supervisor.system.clock import monotonic_s, wall_s

_PROGRESS_S = 0.5
_LOCK_CHECK_S = 0.2
_TELL_AGAIN_S = 1.0
_PIN_S = 0.1
_PIN_POLL_S = 0.001


class Persister:
    """Serves one snapshot directory until its doorbell says that the service has ended."""

    def __init__(self, root: Path, bell: WakeupFifo, *, rescue_at_end: bool = False) -> None:
        self._root = root
        self._paths = SnapshotPaths(root)
        self._bell = bell
        self._rescue_at_end = rescue_at_end
        self._board = blank_board()
        self._published: PersisterRecord | None = None
        self._published_s = 0.0
        self._tell_at_s = 0.0
        self._vetted: set[int] = set()
        self._is_owing = False

    def run(self) -> None:
        """Serve until the directory is gone, or the service has ended and all is done."""
        try:
            lock = Lock(self._paths.persister_lock)
        except FileNotFoundError:
            return
        with lock:
            while not lock.acquire():
                # Another persister serves the directory, and finishes all that is wanted.
                if self._bell.has_ended or self._bell.is_lost:
                    return
                self._bell.wait(_LOCK_CHECK_S)
            self._serve()
            if self._bell.is_lost:
                return
            if self._rescue_at_end:
                self._leave()

    def _leave(self) -> None:
        """Put the newest snapshot onto the disk and remove the directory, if that is safe."""
        outcome = self._rescue()
        self._publish("idle")
        if outcome == "failed":
            result = self._board.results[-1]
            sys.stderr.write(
                f"{result.name} stays in memory, in {self._root}: it could not be saved to the"
                f" disk: {result.error}\n"
            )
        elif not is_locked(self._paths.writer_lock):  # by the next trainer, say
            remove_root(self._root)

    def _serve(self) -> None:
        try:
            self._bell.attach()
        except FileNotFoundError:
            return
        before = read_board(self._root)
        if before is not None:
            self._board = self._board._replace(rescue=before.rescue, results=before.results)
        while True:
            self._bell.wait(0)  # empty it before each look, so that a ring during it is not lost
            if self._bell.is_lost:
                return
            if self._do_next():
                continue
            self._publish("idle")
            if not self._bell.has_ended:
                # Try again soon, not at the next ring, if the tmpfs did not take the board.
                is_done = self._board == self._published and not self._is_owing
                self._bell.wait(None if is_done else _TELL_AGAIN_S)
            elif not self._rescue_at_end and is_locked(self._paths.writer_lock):
                # A trainer whose launcher was killed is about to save: only this process is left.
                self._bell.wait(_LOCK_CHECK_S)
            else:
                return

    def _take_back(self) -> None:
        """Set aside checkpoints of snapshots that the run went back behind.

        The persister that wrote such a checkpoint was killed before it saw that, or the checkpoint
        could not be set aside. Each is looked for once: a checkpoint that the user puts back after
        that is meant to be there.
        """
        self._is_owing = False
        for whole in read_given_up(self._root):
            try:
                withdraw(whole)
                settle(whole)
            except OSError:
                self._is_owing = True

    def _do_next(self) -> bool:
        """Do one thing; False if there is nothing to do."""
        self._take_back()
        request = self._request()
        if request is not None:
            self._rescue(request.id)
            self._publish("idle")
            return True
        wholes = read_whole(self._root)
        wanted = queue.next_wanted(wholes, self._board)
        if wanted is not None:
            self._persist(wanted, "save")
            self._publish("idle")
            return True
        self._vetted &= {whole.sequence for whole in wholes}
        unvetted = queue.next_unvetted(wholes, self._vetted)
        if unvetted is None or self._bell.has_ended:
            return False
        self._publish("vetting")
        if vet(unvetted, should_stop=self._is_needed) is not None:
            self._vetted.add(unvetted.sequence)
        return True

    def _request(self) -> persist_request.RescueRequest | None:
        request = persist_request.read(self._root)
        answered = self._board.rescue
        is_new = request is not None and (answered is None or answered.id != request.id)
        return request if is_new else None

    def _is_needed(self) -> bool:
        """Whether something came up that is more urgent than a verdict."""
        if not self._bell.wait(0):
            return False
        wanted = queue.next_wanted(read_whole(self._root), self._board)
        return wanted is not None or self._request() is not None or self._bell.has_ended

    def _rescue(self, number: int = 0) -> RescueOutcome:
        """Put the newest good snapshot onto the disk; the answer is to the request `number`."""
        answer = RescueResult(number, "nothing", None, None, None)
        for whole in queue.rescue_order(read_whole(self._root)):
            newer = queue.newer_on_disk(whole, self._board)
            if newer is not None:
                answer = RescueResult(number, "already", newer.step, newer.path, None)
                break
            result, outcome = self._persist(whole, "rescue")
            if result is None:  # its writer lives, since it went on: the other slot is whole
                continue
            if answer.outcome in ("nothing", "failed"):
                answer = RescueResult(number, outcome, result.step, result.path, result.error)
            if result.ok and result.finite is not False:
                answer = RescueResult(number, outcome, result.step, result.path, None)
                break
        if number:
            self._board = self._board._replace(rescue=answer)
        return answer.outcome

    def _persist(self, whole: Whole, why: Why) -> tuple[Result | None, RescueOutcome]:
        """Persist one snapshot; no result if the slot changed meanwhile, which is no failure."""
        snapshot = whole.snapshot
        current = Current(whole.sequence, snapshot.step, snapshot.name, snapshot.bytes, 0, wall_s())
        self._publish("persisting", current)
        began_s = monotonic_s()
        outcome: RescueOutcome = "failed"
        path, error, finite, count = None, None, None, 0
        try:
            with Lock(whole.slot.lock) as lock:
                # A shared lock pins the slot. A writer that has just closed the seal releases its
                # lock in a moment. A writer that hangs may keep it: then the seal tells, before the
                # commit, whether the slot has changed.
                give_up_s = monotonic_s() + _PIN_S
                while not lock.acquire(shared=True) and monotonic_s() < give_up_s:
                    time.sleep(_PIN_POLL_S)
                done = persist(whole, progress=self._progress)
            path, finite, count = str(done.path), done.finite, done.bytes
            outcome = "already" if done.was_there else "persisted"
        except Exception as problem:
            if not whole.is_unchanged():
                return None, "nothing"
            error = _told(problem)
        result = Result(
            sequence=whole.sequence,
            step=snapshot.step,
            name=snapshot.name,
            path=path,
            ok=path is not None,
            error=error,
            bytes=count,
            seconds=round(monotonic_s() - began_s, 3),
            finite=finite,
            why=why,
            at=wall_s(),
        )
        if outcome != "already" or why == "save":
            results = (*self._board.results, result)[-MOST_RESULTS:]
            self._board = self._board._replace(results=results)
        return result, outcome

    def _progress(self, done_bytes: int) -> None:
        current = self._board.current
        if current is not None and monotonic_s() - self._published_s >= _PROGRESS_S:
            self._publish("persisting", current._replace(done_bytes=done_bytes))

    def _publish(self, state: PersisterState, current: Current | None = None) -> None:
        self._board = self._board._replace(state=state, current=current)
        if self._board == self._published:
            return
        if monotonic_s() < self._tell_at_s and not self._bell.has_ended:
            return
        try:
            write_board(self._root, self._board)
        except OSError:
            # The tmpfs is full, or the directory is gone. Removing the staged file rings the bell,
            # so trying again at once would never end.
            self._tell_at_s = monotonic_s() + _TELL_AGAIN_S
            return
        self._published = self._board
        self._published_s = monotonic_s()


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return str(error) or repr(error)

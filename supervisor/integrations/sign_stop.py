"""A stop of a loop that cannot be asked to save: it goes on to its own next save, or ends at once.

After that save the script may have more to write. So the process leaves at its next optimizer step.

SIGTERM is taken only where it has its default action, and only once the daemon knows how long it is
from one save to the next. A SIGTERM that is not the supervisor's stop keeps its default action. The
handler asks no more than a small file.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from time import monotonic, sleep

from ..worker.leaving import leave_preempted
from ..worker.sign_layout import (
    NEXT_SAVE,
    NO_STOP,
    PHASE,
    SAVING,
    STOP,
    STOP_ENDS,
    STOP_HANDLED,
    STOP_WAITS,
)
from ..worker.stop_signals import unhandled
from . import hook
from .sign_peers import (
    SAVES,
    SAVES_AT_STOP,
    do_all_leave,
    have_all_saved,
    is_child_of_multiprocessing,
    longest_save_s,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_MOST_BYTES = 4096
# Of the grace: what a save takes, which no save has told, and its proof by the daemon.
_MARGIN = 0.1
# SLURM or systemd signals the whole job, and the launcher passes on what it got: one stop.
_SAME_STOP_S = 0.5
# They may do so before the daemon, which says so before its own signal.
_ANNOUNCED_WITHIN_S = 2.0
_EVERY_S = 0.02


class StopAtSave:
    """What SIGTERM does in one process that gives signs of life."""

    def __init__(self, directory: str, words: memoryview, *, is_helper: bool) -> None:
        """`words`: the words of the process's sign. A helper never takes the signal."""
        self.words = words
        self._is_helper = is_helper
        self._directory = directory
        self._pid = os.getpid()
        self._is_held = self._is_done = False
        self._is_asking = self._is_leaving = False
        self._stopped_at = self._waits_until = 0.0
        self.ends_at_step = False
        """Whether the next optimizer step is the last one."""
        self._left_with: tuple[int, int] | None = None
        """The number of the save after which this process leaves, and how many ranks do."""
        self._put_off_at: float | None = None
        """When a SIGTERM that ends the process came in the middle of a save."""

    def look(self) -> None:
        """Once a second: take SIGTERM if it is free and a save is expected; else let it be."""
        if self._is_held:
            if signal.getsignal(signal.SIGTERM) != self._note:
                self._is_held = False  # the script has set another handler
                self.words[STOP] = NO_STOP
            elif self.words[STOP] == STOP_WAITS and monotonic() > self._waits_until:
                self._end()  # the supervisor, which ends it sooner, is no more
            return
        if self._is_done or _next_save(self._directory) is None:
            return
        if threading.current_thread() is not threading.main_thread():
            return
        self._is_done = True
        if self._is_helper or is_child_of_multiprocessing():
            return
        if not unhandled((signal.SIGTERM,), hook.tell):
            return
        signal.signal(signal.SIGTERM, self._note)
        self._is_held = True
        self.words[STOP] = STOP_HANDLED

    def let_go(self) -> None:
        """Give SIGTERM its default action again, if the handler of this object has it."""
        self._is_done = True
        if not self._is_held or signal.getsignal(signal.SIGTERM) != self._note:
            return
        self._is_held = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def leave_after_save(self, ranks: int) -> None:
        """Have the process leave at its next step if a stop waited for the save complete now.

        `ranks`: how many train together. Where they do not all leave after this save, none does:
        the daemon sees the checkpoint, and ends them all by a second SIGTERM.
        """
        words = self.words
        if words[STOP] != STOP_WAITS or not self._is_held:
            return
        try:
            leaves = do_all_leave(self._directory, words, ranks)
        except Exception as error:
            hook.tell(f"the ranks cannot agree to stop: {type(error).__name__}: {error}")
            return
        if leaves:
            self._left_with = words[SAVES], ranks
            self.ends_at_step = True

    def end_at_step(self) -> None:
        """End the process after the optimizer step that follows the save.

        Raises SystemExit (75) if a stop waited for the save; a SIGTERM that was put off kills.
        """
        if threading.current_thread() is not threading.main_thread():
            return  # the exception would end this thread alone
        if self._is_leaving:
            # The script has caught the exit and trains on: the second SIGTERM ends it.
            self.ends_at_step = False
            self.let_go()
            return
        if self._left_with is None:
            self._end()
            return
        self._wait_for_saves(*self._left_with)
        # The daemon sees the checkpoint, too, and sends the second SIGTERM. It is ignored by a
        # handler: what the script starts at its end would inherit SIG_IGN.
        self._is_leaving = True
        leave_preempted()

    def _wait_for_saves(self, number: int, ranks: int) -> None:
        """Wait until the other ranks have written their parts, but no longer than the grace."""
        try:
            while not have_all_saved(self._directory, number, ranks):
                if monotonic() >= self._waits_until:
                    return
                sleep(_EVERY_S)
        except OSError as error:
            hook.tell(f"the other ranks' saves are not known: {error}")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            self._end()  # a child that was forked in a way that ran no hook after the fork
            return
        if signal.getsignal(number) != self._note:
            return  # called by the script's own handler, which sees to the stop itself
        if self._is_asking or self._is_leaving:
            return
        words = self.words
        if self._is_held and words[STOP] == STOP_HANDLED:
            if self._is_save_due():
                words[SAVES_AT_STOP] = words[SAVES]
                words[STOP] = STOP_WAITS
                self._stopped_at = monotonic()
                return
        elif words[STOP] == STOP_WAITS and monotonic() - self._stopped_at < _SAME_STOP_S:
            return
        if self._is_held and words[PHASE] == SAVING and self._may_put_off():
            self.ends_at_step = True
            return
        self._end()

    def _may_put_off(self) -> bool:
        """Whether a SIGTERM within a save has its effect at the step after that; not the second."""
        now = monotonic()
        if self._put_off_at is None:
            self._put_off_at = now
        return now - self._put_off_at < _SAME_STOP_S

    def _end(self) -> None:
        """Give SIGTERM its default action, and have that. Does nothing in another thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        if os.getpid() == self._pid:
            self.words[STOP] = STOP_ENDS
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)

    def _is_save_due(self) -> bool:
        """Whether this is a stop of the supervisor's, and a save is due within its grace."""
        found = self._announced()
        if found is None:
            return False
        interval_s, since_s, grace_s, stop_s = found
        self._waits_until = stop_s + grace_s
        if self.words[PHASE] == SAVING:
            return True
        if since_s is None:
            return False
        try:
            save_s = longest_save_s(self._directory)
        except OSError:
            return False
        # Each rank hears the signal at another moment, and all have to come to the same answer.
        due_s = since_s + interval_s - stop_s
        # A save that is later than this is not known to come at all.
        return -interval_s / 2 <= due_s <= grace_s - max(_MARGIN * grace_s, save_s)

    def _announced(self) -> tuple[float, float | None, float, float] | None:
        """What the daemon says of the next save and of its stop; None where it sent no stop.

        It waits a moment for that, here and not in the loop, which may be over or in a long step.
        """
        self._is_asking = True
        try:
            end = monotonic() + _ANNOUNCED_WITHIN_S
            while True:
                found = _next_save(self._directory)
                if found is None:
                    return None
                interval_s, since_s, grace_s, stop_s = found
                if stop_s is not None:
                    return interval_s, since_s, grace_s, stop_s
                if monotonic() >= end:
                    return None
                sleep(_EVERY_S)
        finally:
            self._is_asking = False


def _next_save(directory: str) -> tuple[float, float | None, float, float | None] | None:
    """The interval of saves, when the last one was, the grace, when a stop was sent; or None."""
    try:
        with open(os.path.join(directory, NEXT_SAVE), "rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
        interval_s, since_s, stop_s = (
            None if found[name] is None else float(found[name])
            for name in ("interval_s", "since_s_monotonic", "stop_s_monotonic")
        )
        if interval_s is None:
            return None
        return interval_s, since_s, float(found["grace_s"]), stop_s
    except (OSError, ValueError, TypeError, KeyError):
        return None  # no file yet, or one of another version: nothing is known

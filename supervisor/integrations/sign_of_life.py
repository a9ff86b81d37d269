"""The sign of life of a process whose training loop has no adapter and does not attach.

The process tells that it lives, which phase it is in, and what it does about a stop. It tells no
step. `sign_stop` has the stop. Only a stop raises into the training, at the step after its save.
"""

from __future__ import annotations

import os
import sys
from time import monotonic_ns

from ..worker.description import Description
from ..worker.environment import is_spawn_import, number_of
from ..worker.imports.first_beat import record_imports
from ..worker.page_place import put_page
from ..worker.processes import own_start_ticks
from ..worker.sign_layout import (
    COUNT,
    LAST_NS,
    LONGEST_GAP_NS,
    NO_PHASE,
    PHASE,
    PHASE_SINCE_NS,
    SAVING,
    SIGN,
    SIGN_BYTES,
    SIGN_MAGIC,
    SIGN_PREFIX,
    SIGN_VERSION,
)
from . import hook, telling, wandb_run
from .sign_peers import LONGEST_SAVE_NS, SAVES, is_helper
from .sign_stop import StopAtSave

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_NS = 1_000_000_000
_TRAININGS = ("_train_supervisor.integrations.training", "supervisor.integrations.training")

_own: SignOfLife | None = None
_is_decided = False
_is_following_forks = False


class SignOfLife:
    """The file of one process, and what it says. `sign()` is one sign of life."""

    sign: Callable[[], None]

    def __init__(self, directory: str) -> None:
        """Make the file. Raises OSError."""
        self._directory = directory
        self._path = os.path.join(directory, f"{SIGN_PREFIX}{os.getpid()}")
        self._depth = 0
        self._is_over = False
        self._phase_since_ns = 0
        self._description: Description | None = None
        self.is_helper = is_helper(directory)
        start = bytearray(SIGN_BYTES)
        SIGN.pack_into(
            start, 0, SIGN_MAGIC, SIGN_VERSION, os.getpid(), _local_rank(), own_start_ticks() or 0,
            number_of("SUPERVISOR_ATTEMPT") or 0, 0, 0, 0, NO_PHASE, 0, 0,
        )  # fmt: skip
        self.words = memoryview(start).cast("Q")
        self.sign, self._go_on, self._write_to = self._make_sign()
        self.stop = StopAtSave(directory, self.words, is_helper=self.is_helper)
        self._put()

    def _make_sign(
        self,
    ) -> tuple[Callable[[], None], Callable[[], None], Callable[[memoryview], None]]:
        words, now, no_phase = self.words, monotonic_ns, NO_PHASE
        count, longest, before, look_at = 0, 0, now(), 0

        def sign() -> None:
            # A closure over a memoryview: 0.3 µs, and no system call but once a second.
            nonlocal count, longest, before, look_at
            at = now()
            if at - before > longest and count and words[PHASE] == no_phase:
                words[LONGEST_GAP_NS] = longest = at - before
            before = at
            count += 1
            words[COUNT] = count
            words[LAST_NS] = at
            if at >= look_at:
                look_at = at + _LOOK_NS
                self._look()

        def go_on() -> None:
            """After a phase: its time is no gap."""
            nonlocal before
            before = now()

        def write_to(target: memoryview) -> None:
            nonlocal words
            target[:] = words
            self.words = self.stop.words = words = target

        return sign, go_on, write_to

    def enter(self, phase: int) -> None:
        """Say that a phase begins, which is a sign, too. Inside another one it is a part of it."""
        self._depth += 1
        if self._depth == 1:
            self.sign()
            self._phase_since_ns = monotonic_ns()
            self.words[PHASE_SINCE_NS] = self._phase_since_ns
            self.words[PHASE] = phase

    def leave(self, *, is_saved: bool = False) -> None:
        """Say that the phase entered last is over; `is_saved`: a checkpoint is complete."""
        self._depth = max(self._depth - 1, 0)
        if self._depth:
            return
        took_ns = monotonic_ns() - self._phase_since_ns
        if self.words[PHASE] == SAVING and is_saved:
            self.words[SAVES] += 1
            self.words[LONGEST_SAVE_NS] = max(self.words[LONGEST_SAVE_NS], took_ns)
        self.words[PHASE] = NO_PHASE
        self.words[PHASE_SINCE_NS] = monotonic_ns()
        self._go_on()
        self.sign()

    @property
    def is_described(self) -> bool:
        """Whether a library that trains here has named itself."""
        return self._description is not None

    @property
    def is_in_phase(self) -> bool:
        """Whether a save or a load goes on."""
        return self._depth > 0

    def describe(self, framework: str, checkpoint_dir: str | None = None) -> None:
        """Say which library trains, and where it saves, unless this process is only a helper."""
        if self._description is None and not self.is_helper:
            self._description = telling.own_description(self._directory)
        if self._description is not None:
            place = {} if checkpoint_dir is None else {"checkpoint_dir": checkpoint_dir}
            self._description.merge(framework=framework, **place)

    def end(self) -> None:
        """Give no sign any more: a page speaks for this process from now on."""
        if self._is_over:
            return
        self._is_over = True
        self.stop.let_go()
        self._write_to(memoryview(bytearray(SIGN_BYTES)).cast("Q"))
        if os.path.exists(self._path):
            os.unlink(self._path)

    def be_the_parents(self) -> None:
        """In a forked child: the file is the parent's, and so is the stop."""
        self._is_over = True
        self.stop.let_go()
        self._write_to(memoryview(bytearray(SIGN_BYTES)).cast("Q"))

    def _look(self) -> None:
        """Once a second: whether the signs are still wanted, and whether a save is expected."""
        if self._is_over:
            return
        try:
            if _has_page():
                self.end()
                return
            if not os.path.exists(self._path):  # at logout, say (RemoveIPC)
                self._put()
            self.stop.look()
        except Exception as error:
            hook.tell(f"the sign of life cannot be kept up: {type(error).__name__}: {error}")

    def _put(self) -> None:
        page, _ = put_page(self._path, bytes(self.words))
        self._write_to(memoryview(page).cast("Q"))


def of_process() -> SignOfLife | None:
    """Return the sign of life of this process, begun now if need be; None where it gives none."""
    global _own, _is_decided, _is_following_forks
    if _is_decided:
        return _own
    if is_spawn_import():
        return None
    _is_decided = True
    directory = os.environ.get("SUPERVISOR_HEARTBEAT")
    if not directory or _is_loader_worker() or _has_page():
        return None
    if not _is_following_forks:
        _is_following_forks = True
        os.register_at_fork(after_in_child=_forget)
    try:
        _own = SignOfLife(directory)
    except OSError as error:
        hook.tell(f"no sign of life in {directory}: the supervisor will not see hangs ({error})")
    return _own


def at_first_step() -> Callable[[], None] | None:
    """Begin with the first optimizer step, which is a sign. Return what gives the others."""
    found = of_process()
    if found is None and (_has_page() or _is_loader_worker()):
        return None
    record_imports(hook.tell)  # of a process that attaches, the first beat does it
    if found is None:
        return None
    if not found.is_described:
        version = getattr(sys.modules.get("torch"), "__version__", "?").partition("+")[0]
        found.describe(f"torch {version}, sign of life")
    if not found.is_helper:
        wandb_run.training_begins()
    found.sign()
    sign, stop = found.sign, found.stop

    def after_step() -> None:
        sign()
        if stop.ends_at_step:
            stop.end_at_step()

    return after_step


def stand_down() -> None:
    """An adapter or the script attaches: its page speaks for this process. Never raises."""
    try:
        if _own is not None:
            _own.end()
    except OSError as error:
        hook.tell(f"the sign of life cannot be taken back: {error}")


def _forget() -> None:
    global _own, _is_decided
    own, _own, _is_decided = _own, None, False
    if own is not None:
        own.be_the_parents()


def _has_page() -> bool:
    """Whether a training of an adapter has begun, or a worker is attached."""
    workers = (sys.modules.get(name) for name in telling.RANK_MODULES)
    trainings = (getattr(sys.modules.get(name), "_PROCESS", None) for name in _TRAININGS)
    return any(getattr(each, "_worker", None) is not None for each in workers) or any(
        getattr(each, "began", 0) for each in trainings
    )


def _is_loader_worker() -> bool:
    module = sys.modules.get("torch.utils.data._utils.worker")
    return getattr(module, "_worker_info", None) is not None


def _local_rank() -> int:
    return number_of("LOCAL_RANK", "SLURM_LOCALID") or 0

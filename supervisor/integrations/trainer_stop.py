"""How a transformers Trainer leaves at a stop: saved after a step, or inside an evaluation.

It orders one more save and ends the process once that is complete. It never sets
`should_training_stop`: the Trainer would load the best model and delete the newest checkpoint, and
the script would test and publish a model that is not trained to its end.
"""

from __future__ import annotations

import os
import sys
import threading
from time import monotonic, sleep

from ..worker.contract import EXIT_PREEMPTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .training import Training

# An evaluation is waited for if it then ends within this part of the grace.
_GRACE_PART = 0.25
_LAST_WORDS_S = 3.0
_LOOKS_S = 0.1


class TrainerStop:
    """The stop of one training, from the request to the process's end."""

    def __init__(
        self, training: Training, trainer: Any, trial: Any, resumed_from: str | None
    ) -> None:
        """`trainer` None: only what a callback may do is done."""
        self.is_saving = False
        """Whether an exception now is one of the library's save."""
        self.training = training
        self._trainer = trainer
        self._trial = trial
        self._resumed_from = resumed_from
        self._is_coming = False
        self._leaves_with_next_save = False
        self._saved: tuple[int, str] | None = None
        self._changed: list[tuple[Any, str, Any]] = []
        self._place = 0
        self._batches = 0
        self._since, self._asked_at = monotonic(), 0.0

    def after_step(self, args: Any, state: Any, control: Any) -> None:
        """Order the last save if a stop is due after this step."""
        self._place = self._batches = 0
        self._since = monotonic()
        if not (self._is_coming or self.training.should_stop):
            return
        self._is_coming = True
        if not _is_whole(state.epoch):
            self._order_save(args, control)
        # Else the epoch ends: what is due at its end is done first. A resumed training would not.

    def after_epoch(self, args: Any, state: Any, control: Any) -> None:
        """The same at the end of an epoch."""
        self._batches, self._since = 0, monotonic()
        if not self._is_coming:
            return
        if self._saved is not None and not control.should_evaluate:
            step, path = self._saved
            if step == state.global_step:
                self._leave(path, step, args)
        self._order_save(args, control)

    def before_step(self, args: Any, state: Any, *, is_first: bool) -> None:
        """Leave now if the save that was ordered has not come, or before anything is trained."""
        if self._is_coming:
            self.save_and_leave(args, state)
        elif is_first and self.training.should_stop:
            self._leave(self._resumed_from, state.global_step, args)

    def in_evaluation(
        self, args: Any, state: Any, control: Any, loader: Any, *, is_due: bool, is_first: bool
    ) -> None:
        """After a batch of an evaluation between two steps: leave now, or after it if it is short.

        `is_due`: the library evaluates by itself, and so on all ranks. `is_first`: no step is
        trained yet.
        """
        self._place += 1
        self._batches += 1
        is_alone = args.world_size <= 1
        if not is_due and not is_alone:
            return
        proposes = False
        if self.training.is_asked:
            self._asked_at = self._asked_at or monotonic()
            proposes = not self._ends_soon(loader)
            if is_alone and not self._is_coming and not is_first:
                self._is_coming = True
                self._order_save(args, control)
        if self.training.leaves_inside(self._place, proposes=proposes):
            if is_first:
                self._leave(self._resumed_from, state.global_step, args)
            self._tell_what_is_cut(args, state)
            self.save_and_leave(args, state)

    def after_evaluation(self, control: Any) -> None:
        """Count anew for the next data set; the save that was ordered stays ordered."""
        self._batches, self._since = 0, monotonic()
        if self._leaves_with_next_save:
            control.should_save = True

    def _ends_soon(self, loader: Any) -> bool:
        """Whether the evaluation ends within a part of the grace, at the pace it has shown."""
        try:
            left = len(loader) - self._batches
        except TypeError:
            return False
        now = monotonic()
        pace = (now - self._since) / self._batches
        allowed = self.training.grace_s * _GRACE_PART
        return now - self._asked_at + left * pace <= allowed

    def _tell_what_is_cut(self, args: Any, state: Any) -> None:
        sentence = f"the stop cut the evaluation after step {state.global_step} short"
        scheduler = type(getattr(self._trainer, "lr_scheduler", None)).__name__
        if getattr(args, "metric_for_best_model", None) is not None:
            sentence += ": it does not count for the choice of the best checkpoint"
        if scheduler in {"ReduceLROnPlateau", "GreedyLR"}:
            sentence += f", and {scheduler} does not learn of it"
        self.training.tell(sentence)

    def _order_save(self, args: Any, control: Any) -> None:
        control.should_save = True
        self._leaves_with_next_save = True
        self._make_whole(args)

    def _make_whole(self, args: Any) -> None:
        """Have this one save made with optimizer and generators, and without an upload."""
        self._set(args, "save_only_model", False)
        self._set(args, "push_to_hub", False)
        strategy = getattr(args, "save_strategy", None)
        if str(getattr(strategy, "value", strategy)) == "best":
            # With "best" the library orders the saves after an evaluation anew.
            self._set(args, "save_strategy", type(strategy)("steps"))  # type: ignore[misc]

    def _set(self, owner: Any, name: str, value: Any) -> None:
        before = getattr(owner, name, value)
        if before != value:
            self._changed.append((owner, name, before))
            setattr(owner, name, value)

    def let_go(self) -> None:
        """Put back what was set for the last save: the training has ended in another way."""
        while self._changed:
            setattr(*self._changed.pop())

    def save_and_leave(self, args: Any, state: Any) -> None:
        """Save as the library does it, and leave. Without the Trainer the next save is waited for.

        What the library's own save raises, this raises.
        """
        trainer = self._trainer
        if self._saved is not None and self._saved[0] == state.global_step:
            self._leave(self._saved[1], state.global_step, args)
        if trainer is None:
            return
        self._leaves_with_next_save = True
        self._make_whole(args)
        self.training.enter("save")
        self.is_saving = True
        trainer._save_checkpoint(trainer.model, self._trial)
        # Callbacks add files to a checkpoint. The adapter's is the last; it ends the process.
        trainer.control = trainer.callback_handler.on_save(args, state, trainer.control)

    def after_save(self, path: str, step: int, args: Any) -> None:
        """Note a checkpoint that is complete; leave if it is that of the stop."""
        leaves = self._leaves_with_next_save
        if leaves:
            self._wait_for_ranks(args)
        if os.path.isdir(path):
            self.training.saved(path, step)
            self._saved = step, path
        if leaves:
            self._leave(path, step, args)

    def _wait_for_ranks(self, args: Any) -> None:
        """Wait until each rank has written its part, for the first rank's end ends the others."""
        wait = getattr(getattr(self._trainer, "accelerator", None), "wait_for_everyone", None)
        if args.world_size > 1 and wait is not None:
            wait()

    def _leave(self, path: str | None, step: int, args: Any) -> NoReturn:
        self.is_saving = False
        push = getattr(self._trainer, "push_in_progress", None)
        if push is not None and not push.is_done():
            threading.Thread(target=_end_beside_upload, daemon=True).start()
        self.training.stop(path, step)


def _end_beside_upload() -> None:
    """End the process although an upload goes on, which the interpreter would wait for."""
    from concurrent.futures import thread

    # The interpreter sets this as it begins to wait for such threads; the main one still lives.
    while not thread._shutdown and threading.main_thread().is_alive():
        sleep(_LOOKS_S)
    sleep(_LAST_WORDS_S)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_PREEMPTED)


def _is_whole(epoch: Any) -> bool:
    return isinstance(epoch, float) and epoch > 0 and epoch.is_integer()

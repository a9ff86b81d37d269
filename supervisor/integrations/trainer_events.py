"""What the adapter does at the events of a transformers Trainer: steps, phases, saves, the end.

Values are taken where the library has them on the host. No error here reaches the training.
"""

from __future__ import annotations

import os

from . import hook, wandb_run
from .heard_events import heard
from .save_facts import describe_saves
from .trainer_facts import (
    FRAMEWORK,
    library_version,
    no_step,
    output_directory,
    save_every,
    what_is_lost,
)
from .trainer_stop import TrainerStop
from .training import Training

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class TrainerEvents:
    """The events of one Trainer's training. An instance may serve several, one after another."""

    is_of_train_supervisor = True
    is_lent = False
    """Whether the adapter has put this callback in, and takes it out again."""
    resumed_from: str | None = None

    # All of it is of one training; `begin` clears it.
    _trainer: Any = None
    _trial: Any = None
    _training: Training | None = None
    _stop: TrainerStop | None = None
    _outer: TrainerEvents | None = None
    _replaced: tuple[tuple[Any, str], ...] = ()
    _phase: str | None = None
    _best: str | None = None
    _loss: float | None = None
    _grad_norm: float | None = None
    _is_in_step = False
    _is_first = True
    _is_evaluation_due = False
    _is_saved_by_library = False
    _last_epoch: float | None = None
    """Set if nothing is left to train, so that the one step is not a step."""

    def __reduce__(self) -> Any:
        """A copy of a Trainer, in another process perhaps, has no callback of the adapter's."""
        if not self.is_lent:
            return type(self), ()
        return type(self).__mro__[-2], ()

    def begin(self, trainer: Any, training: Training | None, trial: Any) -> None:
        """Begin a training; None: it begins with `on_train_begin`, a trial of a search."""
        self._forget()
        self._trainer, self._training, self._trial = trainer, training, trial
        if training is None or training.is_supervised:
            self._note_saves_of_library()

    def begin_inside(self, trainer: Any, outer: TrainerEvents) -> None:
        """Begin a training inside another one, which it is a part of: it is left alone."""
        self._forget()
        self._trainer, self._outer = trainer, outer
        if outer._training is not None:
            outer._training.enter("eval")

    def let_go(self, *, is_ended: bool) -> None:
        """The training is over; `is_ended`: it came to its own end."""
        trainer = self._trainer
        if self._outer is not None and self._outer._training is not None:
            self._outer._training.leave()
        if self._stop is not None:
            self._stop.let_go()
        self._put_back()
        if self._training is not None and is_ended and not self._is_saved_by_library:
            self._training.end()
        if self.is_lent and trainer is not None and self in trainer.callback_handler.callbacks:
            trainer.callback_handler.callbacks.remove(self)
        self._forget()

    def _forget(self) -> None:
        """Be as new; what a subclass of the user's keeps stays."""
        for name in vars(TrainerEvents):
            vars(self).pop(name, None)

    def _note_saves_of_library(self) -> None:
        """Learn of `enable_jit_checkpoint`'s save: then the training returns before its end."""
        for callback in self._trainer.callback_handler.callbacks:
            manager = getattr(callback, "jit_manager", None)
            save = getattr(manager, "execute_jit_checkpoint", None)
            if save is None:
                continue

            def noted(save: Any = save) -> None:
                save()
                self._is_saved_by_library = True
                if self._stop is not None:
                    self._saved(self._stop, self._trainer.args, self._trainer.state)

            self._replace(manager, "execute_jit_checkpoint", noted)

    def _replace(self, owner: Any, name: str, method: Any) -> None:
        setattr(owner, name, method)
        self._replaced += ((owner, name),)

    def _put_back(self) -> None:
        for owner, name in self._replaced:
            vars(owner).pop(name, None)
        self._replaced = ()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The steps begin: the library now knows how many there are."""
        try:
            if self._outer is None:
                self._begin_steps(args, state)
        except Exception as error:
            self._give_up(error)

    def _begin_steps(self, args: Any, state: Any) -> None:
        training = self._training
        if training is None or self._trainer is None:
            training = Training(
                FRAMEWORK,
                library_version(),
                output_directory(self._trainer, self._trial, args),
                None,
            )
            self._training = training
            if self._trial is not None:
                training.tell(
                    "the trials of a hyperparameter search begin anew after a restart: a trial's"
                    " checkpoint may be of other hyperparameters"
                )
        if not training.is_supervised:
            return
        self._stop = TrainerStop(training, self._trainer, self._trial, self.resumed_from)
        self._is_first = True
        self._best = state.best_model_checkpoint
        training.describe(total_steps=state.max_steps, best=self._best)
        wandb_run.training_begins()  # the library's callback for W&B has begun its run
        describe_saves(training, lambda: (save_every(args, state), None, what_is_lost(args)))

    def _give_up(self, error: Exception) -> None:
        self._stop = None
        hook.tell(f"the adapter for {FRAMEWORK} is off: {type(error).__name__}: {error}")
        if self._training is not None:
            self._training.take_no_stops()  # after the words, for it may end the process

    @heard
    def on_step_begin(
        self, stop: TrainerStop, args: Any, state: Any, control: Any, **kwargs: Any
    ) -> None:
        """The first batch of a step is there."""
        if self._phase is not None:
            self._leave_phase()
        if self._is_first and state.global_step >= state.max_steps > 0:
            self._train_nothing(args, state)
        else:
            stop.before_step(args, state, is_first=self._is_first)
        self._is_in_step = True
        self._is_evaluation_due = False

    @heard
    def on_step_end(
        self, stop: TrainerStop, args: Any, state: Any, control: Any, **kwargs: Any
    ) -> None:
        """A step is done, and the library's first callback has decided what is due."""
        self._is_in_step = False
        if self._last_epoch is not None:
            self._put_back()
            state.global_step, state.epoch = state.global_step - 1, self._last_epoch
            control.should_save = control.should_evaluate = control.should_log = False
            control.should_training_stop = True
            return
        self._is_first = False
        stop.training.beat(state.global_step, state.epoch, self._loss, self._grad_norm)
        stop.after_step(args, state, control)
        self._show_what_is_due(control)

    @heard
    def on_epoch_end(
        self, stop: TrainerStop, args: Any, state: Any, control: Any, **kwargs: Any
    ) -> None:
        """An epoch is over; the training too, perhaps."""
        if not self._is_first:
            stop.after_epoch(args, state, control)
        self._show_what_is_due(control)

    def _show_what_is_due(self, control: Any) -> None:
        self._is_evaluation_due = control.should_evaluate
        if control.should_evaluate:
            self._enter_phase("eval")
        elif control.should_save:
            self._enter_phase("save")
        elif control.should_training_stop:
            self._enter_phase("final")

    @heard
    def on_prediction_step(
        self, stop: TrainerStop, args: Any, state: Any, control: Any, **kwargs: Any
    ) -> None:
        """A batch of an evaluation is done."""
        if self._phase != "eval":
            self._enter_phase("eval")
        if not self._is_in_step:
            loader = kwargs.get("eval_dataloader")
            is_due = self._is_evaluation_due
            stop.in_evaluation(args, state, control, loader, is_due=is_due, is_first=self._is_first)

    @heard
    def on_evaluate(
        self, stop: TrainerStop, args: Any, state: Any, control: Any, **kwargs: Any
    ) -> None:
        """An evaluation is done; others may follow (several data sets), and a save."""
        stop.after_evaluation(control)
        self._leave_phase()
        if control.should_save:
            self._enter_phase("save")
        elif control.should_training_stop:
            self._enter_phase("final")

    @heard
    def on_save(
        self, stop: TrainerStop, args: Any, state: Any, control: Any, **kwargs: Any
    ) -> None:
        """A checkpoint is complete, but for what other ranks may still write."""
        self._leave_phase()
        self._saved(stop, args, state)
        if control.should_training_stop:
            self._enter_phase("final")

    def _saved(self, stop: TrainerStop, args: Any, state: Any) -> None:
        path = os.path.join(
            output_directory(self._trainer, self._trial, args), f"checkpoint-{state.global_step}"
        )
        if state.best_model_checkpoint != self._best:
            self._best = state.best_model_checkpoint
            stop.training.describe(best=self._best)
        stop.after_save(path, state.global_step, args)

    @heard
    def on_log(self, stop: TrainerStop, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take what the library has on the host; anything else is not touched."""
        logs = kwargs.get("logs") or {}
        if type(logs.get("loss")) is float:
            self._loss = logs["loss"]
        if type(logs.get("grad_norm")) is float:
            self._grad_norm = logs["grad_norm"]

    @heard
    def on_train_end(
        self, stop: TrainerStop, args: Any, state: Any, control: Any, **kwargs: Any
    ) -> None:
        """The training is over. Where `Trainer.train` is not used, no other word of it comes."""
        self._leave_phase()
        if self._trainer is None:
            stop.training.end()
        else:
            self._enter_phase("final")

    def _enter_phase(self, phase: str) -> None:
        if self._training is not None and self._phase != phase:
            self._leave_phase()
            self._phase = phase
            self._training.enter(phase)

    def _leave_phase(self) -> None:
        if self._training is not None and self._phase is not None:
            self._phase = None
            self._training.leave()

    def _train_nothing(self, args: Any, state: Any) -> None:
        """Have no step trained: resumed at the last step of all, the library trains one more."""
        if self._trainer is not None:
            self._last_epoch = state.epoch
            self._replace(self._trainer, "training_step", no_step(args.device))

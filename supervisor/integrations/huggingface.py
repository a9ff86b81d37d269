"""Adapter for transformers' Trainer, and for what derives from it (TRL, LLaMA-Factory, axolotl).

`patch` wraps `Trainer.train`: a call of it is a training. The events of its loop are in
`trainer_events`. A subclass that does not call `Trainer.train` can take `SupervisorCallback`.
"""

from __future__ import annotations

import functools
import os

from . import hook
from .trainer_events import TrainerEvents
from .trainer_facts import FRAMEWORK, library_version
from .training import Training

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# What the adapter calls or wraps. Versions 4.38 to 5.24 have it.
_NEEDED = {
    "Trainer": ("train", "training_step", "_save_checkpoint", "add_callback"),
    "TrainerCallback": ("on_train_begin", "on_step_begin", "on_step_end", "on_prediction_step",
                        "on_evaluate", "on_save", "on_epoch_end", "on_log"),
}  # fmt: skip
_PATCHED = "_is_patched_by_train_supervisor"

# The trainings that go on, outermost first; a training inside another is a part of that one.
_going_on: list[TrainerEvents] = []


def patch(module: ModuleType) -> None:
    """Wrap `Trainer.train` of `transformers.trainer`. Raises if this version does not fit."""
    trainer = module.Trainer
    train = trainer.train
    if getattr(train, _PATCHED, False):
        return
    missing = [
        f"{owner}.{name}"
        for owner, names in _NEEDED.items()
        for name in names
        if not hasattr(getattr(module, owner, None), name)
    ]
    if missing:
        raise RuntimeError(f"transformers {library_version()} has no {', '.join(missing)}")
    trainer.train = _wrapped(train)


def _wrapped(train: Any) -> Any:
    @functools.wraps(train)
    def supervised(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            events, args, kwargs = _begun(self, args, kwargs)
        except Exception as error:
            hook.tell(f"the adapter for {FRAMEWORK} is off: {type(error).__name__}: {error}")
            events = None
        try:
            result = train(self, *args, **kwargs)
        except BaseException as error:
            if error.__traceback__ is not None:
                # No frame of this file in what the user reads.
                error.__traceback__ = error.__traceback__.tb_next
            _over(events, is_ended=False)
            raise
        _over(events, is_ended=True)
        return result

    setattr(supervised, _PATCHED, True)
    return supervised


def _begun(
    trainer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[TrainerEvents | None, tuple[Any, ...], dict[str, Any]]:
    """Begin a training; return what hears of its events, and the arguments to train with."""
    handler = trainer.callback_handler
    own = next((one for one in handler.callbacks if hasattr(one, "is_of_train_supervisor")), None)
    if _going_on:
        inner = own or _callback()
        inner.begin_inside(trainer, _going_on[-1])
        return _joined(trainer, inner, own), args, kwargs
    trial = args[1] if len(args) > 1 else kwargs.get("trial")
    training = None
    if trial is None:
        training = Training(FRAMEWORK, library_version(), trainer.args.output_dir, None)
        if not training.is_supervised and own is None:
            return None, args, kwargs
    events = own or _callback()
    events.begin(trainer, training, trial)
    if training is not None:
        args, kwargs = _resumed(training, events, args, kwargs)
    return _joined(trainer, events, own), args, kwargs


def _joined(trainer: Any, events: Any, own: Any) -> TrainerEvents:
    """Have the events told, after all other callbacks: the library's first decides what is due."""
    callbacks = trainer.callback_handler.callbacks
    if own is not None:
        callbacks.remove(own)
    callbacks.append(events)
    events.is_lent = own is None
    _going_on.append(events)
    return events  # type: ignore[no-any-return]


def _resumed(
    training: Training, events: TrainerEvents, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Put the checkpoint that this training has to go on from in the place of what is asked."""
    # `model_path` is the older name; it counts, as in the library, before the other.
    asked = args[0] if args else kwargs.get("resume_from_checkpoint")
    asked = kwargs.get("model_path", asked)
    injects, path = training.resume_path(asked, _why_not)
    if injects:
        kwargs = {name: value for name, value in kwargs.items() if name != "model_path"}
        if args:
            args = (path, *args[1:])
        else:
            kwargs["resume_from_checkpoint"] = path
    events.resumed_from = path if injects else asked if isinstance(asked, str) else None
    return args, kwargs


def _why_not(path: str) -> str | None:
    """What keeps the library from going on from a checkpoint."""
    if os.path.isfile(f"{path}/trainer_state.json"):
        return None
    return f"{path} has no trainer_state.json: where to resume is left to the script"


def _over(events: TrainerEvents | None, *, is_ended: bool) -> None:
    """Let go of a trainer whose training is over. Never raises."""
    if events is None:
        return
    try:
        _going_on.remove(events)
        events.let_go(is_ended=is_ended)
    except Exception as error:
        hook.tell(f"the end of a training cannot be told: {type(error).__name__}: {error}")


def _callback() -> Any:
    """Return a callback of the library's own kind."""
    return __getattr__("SupervisorCallback")()


def __getattr__(name: str) -> Any:
    """Make `SupervisorCallback` when it is first asked for: only then the library is imported."""
    if name != "SupervisorCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in globals():
        return globals()[name]
    from transformers import trainer, trainer_callback  # type: ignore[import-not-found]

    patch(trainer)
    made = type(name, (TrainerEvents, trainer_callback.TrainerCallback), {"__module__": __name__})
    made.__doc__ = "Tells the supervisor of a Trainer's steps, and saves and leaves at a stop."
    globals()[name] = made
    return made

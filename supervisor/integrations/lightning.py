"""Adapter for Lightning 2.5 and newer, as `lightning.pytorch` and as `pytorch_lightning`.

`patch` wraps five of its functions; what they do by themselves, and in which order, stays as it is.
`SupervisorCallback` is in each Trainer's callbacks: it hands events to the supervised fit that is
under way (`lightning_fit`).
"""

from __future__ import annotations

import functools
import inspect
import signal
import sys
import threading

from . import hook, lightning_fit, lightning_loader
from .lightning_fit import LightningFit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

_ROOTS = ("lightning.pytorch", "pytorch_lightning")
_MARK = "_is_wrapped_by_train_supervisor"
_STOPS = (signal.SIGTERM, signal.SIGUSR1)
_classes: dict[tuple[type, ...], type] = {}


def patch(module: ModuleType) -> None:
    """Wrap what the adapter needs, once `…trainer.trainer` is imported. Raises nothing."""
    root, _, rest = module.__name__.partition(".trainer.")
    if rest != "trainer" or _is_patched(root):
        return  # the trainer's module imports all others that are wrapped
    try:
        places = [
            (module.Trainer, "_fit_impl", _fit),
            (module.Trainer, "save_checkpoint", _save),
            (_module(root, "loops.fetchers")._DataFetcher, "__iter__", _iterate),
            (
                _module(root, "trainer.connectors.signal_connector")._SignalConnector,
                "register_signal_handlers",
                _register_handlers,
            ),
        ]
        # It says how a fit goes on from a checkpoint of the end of a batch: since 2.5.
        _ = _module(root, "loops.training_epoch_loop")._TrainingEpochLoop.restarted_on_last
        if "ckpt_path" not in inspect.signature(module.Trainer._fit_impl).parameters:
            raise AttributeError("_fit_impl has no ckpt_path")
        for owner, name, _around in places:
            _ = owner.__dict__[name]
    except (AttributeError, KeyError) as error:
        hook.tell(f"the adapter for lightning is off, it is for 2.5 and newer: {error}")
        return
    for owner, name, around in places:
        _wrap(owner, name, around)
    lightning_loader.wrap_loader(root, make_callback, patched_roots)
    try:
        scalars = _module(root, "trainer.connectors.logger_connector.logger_connector")
        _wrap(scalars, "convert_tensors_to_scalars", _scalars)
    except (AttributeError, KeyError):
        hook.tell("the loss of lightning is not read: this version keeps it elsewhere")


def _module(root: str, name: str) -> Any:
    return sys.modules[f"{root}.{name}"]


def _wrap(owner: Any, name: str, around: Any) -> None:
    """Put `around(original, …)` in the place of a function, once."""
    original = vars(owner)[name]
    if getattr(original, _MARK, False):
        return

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    setattr(wrapped, _MARK, True)
    setattr(owner, name, wrapped)


def _is_patched(root: str) -> bool:
    trainer = getattr(sys.modules.get(f"{root}.trainer.trainer"), "Trainer", None)
    return bool(getattr(getattr(trainer, "_fit_impl", None), _MARK, False))


def _fit(original: Any, trainer: Any, *args: Any, **kwargs: Any) -> Any:
    """Run a fit; what is supervised of it begins and ends here, in the process that trains."""
    fit = lightning_fit.begin(trainer, _version(trainer))
    if fit is None:
        return original(trainer, *args, **kwargs)
    try:
        callback = _callback_of(trainer)
        callback._fit = fit
    except Exception as error:
        hook.tell(f"the adapter for lightning is off: {type(error).__name__}: {error}")
        lightning_fit.close(fit)
        return original(trainer, *args, **kwargs)
    try:
        args, kwargs = fit.with_checkpoint(original, args, kwargs)
        result = original(trainer, *args, **kwargs)
        fit.end()
        return result
    finally:
        callback._fit = None
        lightning_fit.close(fit)


def _callback_of(trainer: Any) -> Any:
    """The trainer's callback of ours; it gets one if the script has put others in its place."""
    ours = [one for one in trainer.callbacks if getattr(one, "is_of_train_supervisor", False)]
    trainer.callbacks += [] if ours else [make_callback()]
    return (ours or trainer.callbacks)[-1]


def _version(trainer: Any) -> str:
    root = next((root for root in _ROOTS if _is_of(trainer, root)), _ROOTS[0])
    return str(getattr(sys.modules.get(root), "__version__", "?"))


def _is_of(trainer: Any, root: str) -> bool:
    return any(each.__module__.startswith(f"{root}.") for each in type(trainer).__mro__)


def _save(original: Any, trainer: Any, filepath: Any, *args: Any, **kwargs: Any) -> None:
    fit = lightning_fit.current(trainer)
    if fit is None:
        original(trainer, filepath, *args, **kwargs)
        return
    weights_only = args[0] if args else kwargs.get("weights_only")
    fit.begin_save()
    original(trainer, filepath, *args, **kwargs)
    fit.end_save(filepath, is_whole=not weights_only)


def _iterate(original: Any, fetcher: Any) -> Any:
    fit = lightning_fit.current()
    if fit is not None:
        fit.note_randomness(fetcher)
    found = original(fetcher)
    if fit is not None:
        fit.note_first_draw(fetcher)
    return found


def _scalars(original: Any, metrics: Any) -> Any:
    found = original(metrics)
    fit = lightning_fit.current()
    if fit is not None:
        fit.note_metrics(found)
    return found


def _register_handlers(original: Any, connector: Any) -> None:
    """Let the library set its handlers, and then ours again where they were ours before.

    Its handler of SIGTERM ends a validation unsaved, with 0; that of SIGUSR1 requeues by itself.
    """
    before = {number: signal.getsignal(number) for number in _STOPS}
    original(connector)
    fit = lightning_fit.current(connector.trainer)
    if fit is not None:
        fit.is_restored()  # the only call between the load of a checkpoint and the loops
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in before.items():
        if _is_ours(handler) and signal.getsignal(number) != handler:
            signal.signal(number, handler)
    environment = connector.trainer._accelerator_connector.cluster_environment
    requeue = getattr(environment, "requeue_signal", None)
    if requeue not in (None, *_STOPS) and _is_ours(before[signal.SIGTERM]):
        theirs = connector._original_handlers.get(requeue)
        if theirs in (None, signal.SIG_DFL):
            signal.signal(requeue, before[signal.SIGTERM])


def _is_ours(handler: Any) -> bool:
    """Whether a handler is a method of the worker's StopSignals, by either name of its module."""
    kind = type(getattr(handler, "__self__", None))
    return kind.__name__ == "StopSignals" and kind.__module__.endswith("worker.stop_signals")


def patched_roots() -> list[str]:
    """The packages of Lightning whose version fits. Raises ImportError if there is none."""
    callback_class()
    return [root for root in _ROOTS if _is_patched(root)]


def make_callback() -> Any:
    """Return a new callback, which is a Callback of each of Lightning's packages in use."""
    return callback_class()()


def callback_class() -> type:
    """The class of callbacks for Lightning's packages. Raises ImportError if there is none."""
    if not any(root in sys.modules for root in _ROOTS):
        __import__(_ROOTS[0])
    modules = [sys.modules[f"{root}.trainer.trainer"] for root in _ROOTS if root in sys.modules]
    for module in modules:
        patch(module)
    bases = tuple(
        sys.modules[f"{root}.callbacks.callback"].Callback
        for root in _ROOTS
        if f"{root}.callbacks.callback" in sys.modules
    )
    if bases not in _classes:
        _classes[bases] = type(
            "SupervisorCallback", (LightningHooks, *bases), {"__module__": __name__}
        )
    return _classes[bases]


def __getattr__(name: str) -> Any:
    """Make `SupervisorCallback` when it is asked for: its base is the library's."""
    if name == "SupervisorCallback":
        return callback_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class LightningHooks:
    """What a callback is told by Lightning. Only the names that are needed; all else is the base's.

    It has no state of its own in checkpoints, and a copy of it, pickled or not, is a new one.
    """

    is_of_train_supervisor = True
    _fit: LightningFit | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return make_callback, ()

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Go to the end of the list."""
        if self._fit is not None:
            # What a batch or a validation leads to in the others is done then.
            others = [callback for callback in trainer.callbacks if callback is not self]
            trainer.callbacks = [*others, self]

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """All callbacks are set up."""
        if self._fit is not None:
            self._fit.is_set_up()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The first batch is next."""
        if self._fit is not None:
            self._fit.training_starts()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """A batch is done, and the other callbacks have been told."""
        fit = self._fit
        if fit is not None and fit.ends_batch(batch_idx):
            # The only hook that would follow; its work belongs into the checkpoint.
            pl_module.on_train_batch_end(outputs, batch, batch_idx)
            fit.leave()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """A validation begins; the sanity check is none."""
        if self._fit is not None and not trainer.sanity_checking:
            self._fit.training.enter("eval")

    def on_validation_batch_end(self, trainer: Any, *_: Any) -> None:
        """A batch of it is done."""
        if self._fit is None:
            lightning_fit.evaluates(trainer)
        elif not trainer.sanity_checking:
            self._fit.ends_validation_batch()

    def on_test_batch_end(self, trainer: Any, *_: Any) -> None:
        """A batch of a test is done."""
        lightning_fit.evaluates(trainer)

    def on_predict_batch_end(self, trainer: Any, *_: Any) -> None:
        """A batch of a prediction is done."""
        lightning_fit.evaluates(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """It is done."""
        if self._fit is not None and not trainer.sanity_checking:
            self._fit.training.leave()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """An epoch is done, up to its last schedules."""
        if self._fit is not None:
            self._fit.epoch_ends()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """A checkpoint is about to be written."""
        if self._fit is not None:
            self._fit.add_position(checkpoint)

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """A checkpoint has been read."""
        if self._fit is not None:
            self._fit.take_position(checkpoint)

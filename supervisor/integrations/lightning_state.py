"""What Lightning's checkpoints lack for an exact resume: random state, and the place in the data.

Lightning saves neither. Inside an epoch it begins the loader anew, and leaves out as many batches
at the end. The state of each rank is one more key of a checkpoint, which Lightning ignores. It
holds tensors and plain values alone, so that `torch.load(weights_only=True)` takes it.
"""

from __future__ import annotations

import random
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KEY = "train_supervisor"
VERSION = 1
RANDOMNESS = "_randomness_at_iter"
"""What a fetcher has: the random state with which it began its loaders."""


def random_state(loaders: list[Any]) -> dict[str, Any]:
    """The state of this process's random generators, and of those that the loaders have."""
    import torch

    state: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        _, keys, *rest = numpy.random.get_state()
        state["numpy"] = (
            torch.tensor([int(key) for key in keys]),
            *(_plain(each) for each in rest),
        )
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = torch.cuda.get_rng_state()  # kept on the host
    state["loaders"] = [generator.get_state() for generator in _generators(loaders)]
    return state


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, float) else int(value)


def set_random_state(state: dict[str, Any], loaders: list[Any]) -> None:
    """Put back what `random_state` returned."""
    import torch

    torch.set_rng_state(state["torch"])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    numpy = sys.modules.get("numpy")
    if numpy is not None and "numpy" in state:
        keys, *rest = state["numpy"]
        numpy.random.set_state(("MT19937", numpy.array(keys.tolist(), numpy.uint32), *rest))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    for generator, saved in zip(_generators(loaders), state["loaders"]):
        generator.set_state(saved)


def _generators(loaders: list[Any]) -> list[Any]:
    """The generators that loaders and their samplers were given; each once, in a fixed order."""
    found: dict[int, Any] = {}
    for loader in loaders:
        batch_sampler = getattr(loader, "batch_sampler", None)
        for owner in (
            loader,
            getattr(loader, "sampler", None),
            batch_sampler,
            getattr(batch_sampler, "sampler", None),
        ):
            generator = getattr(owner, "generator", None)
            if hasattr(generator, "get_state") and hasattr(generator, "set_state"):
                found.setdefault(id(generator), generator)
    return list(found.values())


def randomness_of(fit_loop: Any, *, in_validation: bool) -> dict[str, Any]:
    """The random state of this rank now, and with which its epoch began.

    `in_validation`: now is inside a validation, which a resumed fit runs as a whole.
    """
    now = random_state(loaders_of(fit_loop._data_fetcher))
    if in_validation:
        begun = getattr(fit_loop.epoch_loop.val_loop._data_fetcher, RANDOMNESS, {})
        now = {**begun.get("iter", now), "loaders": now["loaders"]}
    return {"now": now, "epoch": getattr(fit_loop._data_fetcher, RANDOMNESS, None)}


def restart_validation(loops: dict[str, Any]) -> None:
    """Change the loops' state so that a resume runs the validation that was due, or begun.

    Lightning would take it for done. Its mark for "inside" is a batch that was started and not
    processed; with the batches before it undone, the validation begins with the first. The batch of
    training before it is done.
    """
    for part in loops["epoch_loop.batch_progress"].values():
        if isinstance(part, dict):
            part["completed"] = part["processed"]
    progress = loops["epoch_loop.val_loop.batch_progress"]
    before = progress["total"]["completed"] - progress["current"]["completed"]
    for part, done in (("total", before), ("current", 0)):
        progress[part].update(ready=done + 1, started=done + 1, processed=done, completed=done)
    progress["is_last_batch"] = False


def begin_next_epoch(fit_loop: Any) -> None:
    """After a save at the end of an epoch, begin the next one: with `max_steps` too.

    Lightning then goes through the end of that epoch once more, and counts it twice.
    """
    fit_loop._restarting = False
    for loop in vars(fit_loop).values():
        if hasattr(loop, "restarting"):
            loop.restarting = False


def restore_schedules(trainer: Any, metrics: dict[str, Any], ended_epoch: int | None) -> None:
    """Put back the last metrics, and do the steps of schedules that came after the save.

    `ended_epoch`: the save was at the end of this epoch. Lightning then updates the schedules that
    follow a metric, and leaves it out when it goes on from there.
    """
    trainer._logger_connector._callback_metrics.update(metrics)
    if ended_epoch is None:
        return
    for config in _following_metrics(trainer):
        if (ended_epoch + 1) % config.frequency == 0 and config.monitor in metrics:
            trainer.lightning_module.lr_scheduler_step(config.scheduler, metrics[config.monitor])


def follow_metrics(trainer: Any) -> None:
    """At the end of an epoch that was resumed: have these schedules updated as in any other.

    Lightning leaves it out, since it has no metrics of before; they are here, if all are known.
    """
    known = trainer.callback_metrics
    if all(config.monitor in known for config in _following_metrics(trainer)):
        trainer.fit_loop._restarting = False


def _following_metrics(trainer: Any) -> list[Any]:
    if not trainer.lightning_module.automatic_optimization:
        return []
    configs = trainer.lr_scheduler_configs
    return [each for each in configs if each.reduce_on_plateau and each.interval == "epoch"]


def loaders_of(fetcher: Any) -> list[Any]:
    """The loaders that a fetcher combines."""
    combined = getattr(fetcher, "_combined_loader", None)
    return [] if combined is None else list(combined.flattened)


class FirstDraw:
    """Stands for a fetcher's iterator until the first batch is taken, and notes the state then."""

    def __init__(self, fetcher: Any, states: dict[str, Any]) -> None:
        self._fetcher = fetcher
        self._iterator = fetcher.iterator
        self._states = states

    def __iter__(self) -> FirstDraw:
        return self

    def __next__(self) -> Any:
        self._fetcher.iterator = self._iterator
        self._states["draw"] = random_state(loaders_of(self._fetcher))
        return next(self._iterator)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._iterator, name)


class DataPlace:
    """Where in the data a fit that goes on from a checkpoint has to begin."""

    def __init__(self, trainer: Any, position: dict[str, Any] | None) -> None:
        """`position` is what the checkpoint has under `KEY`."""
        self._trainer = trainer
        self._loop = trainer.fit_loop
        self._fetcher = self._loop._data_fetcher
        self._loaders = list(self._loop._combined_loader.flattened)
        self._now = self._state(position, "now")
        self._epoch = self._state(position, "epoch")

    def _state(self, position: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
        if position is None or position.get("version") != VERSION:
            return None
        states: list[dict[str, Any] | None] = position[name]
        if position["world_size"] != self._trainer.world_size:
            return None
        rank = self._trainer.global_rank
        return states[rank] if rank < len(states) else None

    def restore(self, tell: Callable[[str], None]) -> None:
        """Begin the loader at the batch that comes, and put the random state back."""
        if self._now is None:
            tell("Lightning does not restore the random state (dropout, the order of the data)")
        else:
            set_random_state(self._now, self._loaders)
        stateful = [hasattr(loader, "state_dict") for loader in self._loaders]
        progress = self._loop.epoch_loop.batch_progress
        seen = progress.current.processed
        if not self._is_epoch_begun():
            # Before 2.6 Lightning begins the loader once more, at the start of the epoch.
            is_begun = getattr(self._loop, "is_resuming", False)
            if self._now is not None and is_begun and not any(stateful):
                self._begin_epoch(self._now)
        elif 0 < seen < self._loop.max_batches and not progress.is_last_batch:
            if not any(stateful):
                self._skip(seen, tell)
            elif not all(stateful):
                tell(f"{seen} batches are repeated: one of several loaders has a state_dict")
            if self._now is not None:
                set_random_state(self._now, self._loaders)

    def _is_epoch_begun(self) -> bool:
        current = self._loop.epoch_progress.current
        return any(value != current.processed for value in (current.ready, current.started))

    def _begin_epoch(self, state: dict[str, Any] | None) -> None:
        """Begin the loader's epoch as it was begun, or would have been."""
        if state is not None:
            set_random_state(state, self._loaders)
        set_epoch = sys.modules[type(self._loop).__module__]._set_sampler_epoch
        for loader in self._loaders:
            set_epoch(loader, self._loop.epoch_progress.current.processed)
        if self._loop.epoch_progress.current.processed == 0:
            # Persistent workers are begun with other draws from the generator than they go on with.
            self._loop._combined_loader.reset()
        iter(self._fetcher)

    def _skip(self, seen: int, tell: Callable[[str], None]) -> None:
        if self._epoch is None and not all(map(_has_fixed_order, self._loaders)):
            tell(
                f"{seen} batches of this epoch are repeated: the checkpoint does not say in which"
                " order they came"
            )
            return
        self._begin_epoch(self._epoch and self._epoch["iter"])
        if self._epoch is not None and "draw" in self._epoch:
            set_random_state(self._epoch["draw"], self._loaders)
        # With its length unknown a fetcher is one batch ahead; else it counts what it gave.
        is_ahead = bool(getattr(self._fetcher, "batches", None))
        for count in range(seen):
            try:
                next(self._fetcher if is_ahead else self._fetcher.iterator)
            except Exception as error:
                why = "it has no more" if isinstance(error, StopIteration) else repr(error)
                tell(
                    f"{seen} batches are repeated: the loader gave {count} of them, and then {why}"
                )
                self._begin_epoch(self._epoch and self._epoch["iter"])
                return


def _has_fixed_order(loader: Any) -> bool:
    """Whether a loader gives its batches in the same order in each process."""
    sampler = getattr(loader, "sampler", None)
    return (
        sampler is None
        or type(sampler).__name__ in ("SequentialSampler", "_InfiniteConstantSampler")
        or hasattr(sampler, "set_epoch")
    )


def loss_and_norm(metrics: Any) -> tuple[float | None, float | None]:
    """The training's loss and its gradient's norm among named numbers of the host, by their names.

    `lightning.pytorch.utilities.grad_norm` names the norm `grad_2.0_norm_total`.
    """
    loss = norm = None
    for name, value in metrics.items() if isinstance(metrics, dict) else ():
        word = str(name).lower().removesuffix("_step")
        if not isinstance(value, float) or word.startswith(("val", "test")):
            continue
        if loss is None and "loss" in word:
            loss = value
        is_norm = word.endswith("_norm_total") and word.startswith("grad_")
        if norm is None and (is_norm or word.rpartition("/")[2] in ("grad_norm", "gradient_norm")):
            norm = value
    return loss, norm

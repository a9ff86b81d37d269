"""What a fit of Lightning begins with: its name in each attempt, its ranks, and its checkpoint."""

from __future__ import annotations

import os
import zipfile
from contextlib import contextmanager
from weakref import WeakKeyDictionary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from inspect import BoundArguments
    from typing import Any

    from .training import Training

_TUNERS = ("LearningRateFinder", "BatchSizeFinder")
# The dirpath that Lightning chose for a ModelCheckpoint of which the script named none.
_chosen_dirpaths: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def is_trial(trainer: Any) -> bool:
    """Whether a fit is no training: `fast_dev_run`, or a tuner's search."""
    return bool(trainer.fast_dev_run) or any(map(_is_a_tuner, trainer.callbacks))


def _is_a_tuner(callback: Any) -> bool:
    """Whether a callback searches for a value and then ends the fit: `Tuner` put it there."""
    names = {kind.__name__ for kind in type(callback).__mro__}
    return not names.isdisjoint(_TUNERS) and bool(getattr(callback, "_early_exit", False))


@contextmanager
def ranks_in_environment(trainer: Any) -> Iterator[None]:
    """Name the ranks as torchrun would, while the process attaches: Lightning does not."""
    words: dict[str, Any] = {}
    if trainer.world_size > 1:
        words = {
            "RANK": trainer.global_rank,
            "LOCAL_RANK": trainer.local_rank,
            "WORLD_SIZE": trainer.world_size,
            "LOCAL_WORLD_SIZE": trainer.num_devices,
        }
    added = {name: str(value) for name, value in words.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def name_of(trainer: Any) -> str:
    """What names this training in each attempt: `version_K` is another one at each start."""
    for callback in trainer.checkpoint_callbacks:
        dirpath = getattr(callback, "dirpath", None)
        if dirpath and dirpath != _chosen_dirpaths.get(callback):
            return str(dirpath)
    for logger in trainer.loggers:
        if logger.save_dir:
            return str(logger.save_dir)
    return str(trainer.default_root_dir)


class CheckpointFolders:
    """Where the callbacks of one trainer save."""

    def __init__(self, trainer: Any) -> None:
        """Note which callbacks have a folder before Lightning gives one to all."""
        self._trainer = trainer
        self._named = {
            callback: getattr(callback, "dirpath", None)
            for callback in trainer.checkpoint_callbacks
        }

    def note(self) -> None:
        """Remember the folders that Lightning has chosen: a later fit of the callback has them."""
        for callback, named in self._named.items():
            dirpath = getattr(callback, "dirpath", None)
            if dirpath and not named:
                _chosen_dirpaths[callback] = str(dirpath)

    @property
    def first(self) -> str:
        """The folder of the first callback that saves; Lightning's default without one."""
        for callback in self._trainer.checkpoint_callbacks:
            if getattr(callback, "dirpath", None):
                return str(callback.dirpath)
        return os.path.join(str(self._trainer.default_root_dir), "checkpoints")


def put_checkpoint(trainer: Any, training: Training, bound: BoundArguments) -> str | None:
    """Put the checkpoint to go on from into the arguments of `_fit_impl`, and return it.

    None leaves the arguments as the script says.
    """
    asked = bound.arguments.get("ckpt_path")
    connector = trainer._checkpoint_connector
    if asked is None and connector._user_managed:
        asked = connector._ckpt_path
    if asked == "best":
        return None
    inject, path = training.resume_path(None if asked in ("last", "hpc") else asked, _why_not)
    if not inject or path is None:
        return None
    connector._user_managed = False
    bound.arguments["ckpt_path"] = path
    if "weights_only" in bound.signature.parameters and bound.arguments.get("weights_only") is None:
        others = _other_types(path)
        if others and training.is_own(path):
            # The script's own objects, which this run has written.
            bound.arguments["weights_only"] = False
    return path


def _why_not(path: str) -> str | None:
    """What keeps a fit from going on from a checkpoint."""
    if _holds_optimizers(path):
        return None
    return (
        f"{path} holds weights only (save_weights_only): training cannot go on from it,"
        " and begins as the script says"
    )


def _holds_optimizers(path: str) -> bool:
    """Whether a checkpoint has what a fit goes on from; True if it is not a file of torch.save."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            return not names or b"optimizer_states" in archive.read(names[0])
    except (OSError, zipfile.BadZipFile):
        return True


def _other_types(path: str) -> list[str]:
    """The types in a checkpoint that torch loads only if it is trusted."""
    import torch.serialization

    ask = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)
    if ask is None or not os.path.isfile(path):
        return []
    return list(ask(path))

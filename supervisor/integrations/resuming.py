"""Where one training is to resume: the checkpoint that the supervisor chose, if it is this one's.

Only facts come in, and a choice with remarks goes out; nothing is attached or written here.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from .renewed_place import is_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .record import TrainingName, WriterRecord

# In the names of checkpoints of the libraries that are adapted to.
_CHECKPOINT_WORDS = ("checkpoint", "ckpt", "step", "epoch")


class Resumption(NamedTuple):
    """`inject` False leaves all to the script; `path` None with `inject` means: begin anew."""

    inject: bool
    path: str | None = None
    remark: str | None = None


def choose(
    asked: str | os.PathLike[str] | bool | None,
    chosen: str | None,
    training: TrainingName,
    record: WriterRecord,
    attempt: int,
    place: str,
) -> Resumption:
    """Choose between what the script says (`asked`) and the supervisor's checkpoint (`chosen`).

    `place` is the directory into which the training saves in this attempt.
    """
    if not chosen:
        return Resumption(asked is True and _has_none(place))
    writer = record.writer_of(chosen, training)
    if writer != training:
        remark = _whose(chosen, writer, training, record)
        if remark is None and writer is not None and is_new(place, attempt, record.begun()):
            remark = _anew(place, writer.directory)
        return Resumption(False, remark=remark)
    named = None if isinstance(asked, bool) or asked is None else os.path.realpath(asked)
    if named in (None, os.path.realpath(chosen)):
        remark = _if_skipped(chosen, training, record)
        return Resumption(True, chosen, remark or _if_renewed(place, training))
    if attempt == 1 or not record.is_of_this_run(chosen):
        remark = f"resumed from {named}, as the script says, and not from {chosen}"
        return Resumption(False, remark=remark)
    remark = f"resumed from {chosen}, and not from {named}, which the script names"
    return Resumption(True, chosen, remark)


def _has_none(directory: str) -> bool:
    """Whether nothing in the directory could be meant by "the newest checkpoint"."""
    try:
        names = os.listdir(directory) if directory else []
    except FileNotFoundError:
        return True
    return not any(word in name.lower() for name in names for word in _CHECKPOINT_WORDS)


def _if_skipped(chosen: str, training: TrainingName, record: WriterRecord) -> str | None:
    """Warn where the training that wrote the checkpoint had ended: a script may skip it now."""
    following = record.next_after(chosen, training)
    if following is None:
        return None
    return (
        f"training number {training.ordinal} in {training.directory} goes on from its end,"
        f" {chosen}; if the script has skipped it, this is number {following}, and begins with the"
        " wrong weights: give each stage a directory of its own"
    )


def _if_renewed(place: str, training: TrainingName) -> str | None:
    """Say why a checkpoint of another directory is this training's."""
    if place == training.directory:
        return None
    return (
        f"the training in {place} goes on with that in {training.directory}: the names differ only"
        " by their time"
    )


def _anew(place: str, before: str) -> str:
    return (
        f"the training begins anew: it saves into {place}, and the attempts before saved into"
        f" {before}; have the script use one output directory for all attempts, or each relaunch"
        " loses everything"
    )


def _whose(
    chosen: str, writer: TrainingName | None, training: TrainingName, record: WriterRecord
) -> str | None:
    here = f"training number {training.ordinal} in {training.directory or 'no directory'}"
    if writer is None:
        return f"{here} begins as the script says: it is not sure which training wrote {chosen}"
    if record.has_saved(training):
        of = f"training number {writer.ordinal} in {writer.directory}"
        return f"{here} is repeated: the newest checkpoint, {chosen}, is of {of}"
    return None

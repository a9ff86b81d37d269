"""Replays what trainers said of themselves from the ledger into the history."""

from dataclasses import replace

from supervisor.core.entries.trainer import DescribedEntry, TrainerToldEntry
from supervisor.core.history import History
from supervisor.core.trainer_description import TrainerDescription, TrainingSaid


def with_description(past: History, entry: DescribedEntry) -> History:
    """The history with one more description. The directory that was named last comes first."""
    place = entry.directory
    places = past.places
    if place is not None:
        places = (place, *(other for other in places if other != place))
    bests = past.bests
    if entry.best is not None:
        bests = {**bests, entry.best.rpartition("/")[0]: entry.best}
    return replace(
        past,
        described=entry,
        described_entries=past.described_entries + 1,
        places=places,
        bests=bests,
        # Whoever describes itself has attached: it can be told where to resume from.
        ever_attached=True,
    )


def with_told(past: History, entry: TrainerToldEntry) -> History:
    """The history with one more sentence."""
    if entry.is_ours:
        return replace(past, told_elsewhere=(*past.told_elsewhere, entry.sentence))
    return replace(past, trainer_told=(*past.trainer_told, entry.sentence))


def description_of(entry: DescribedEntry | None) -> TrainerDescription | None:
    """The description on record, as far as the ledger has it."""
    if entry is None:
        return None
    training = entry.training
    return TrainerDescription(
        framework=entry.framework,
        directory=entry.directory,
        total_steps=entry.total_steps,
        best=entry.best,
        training=None if training is None else TrainingSaid(training.directory, training.ordinal),
    )

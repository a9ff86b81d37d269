"""Replays what trainers said of themselves from the ledger into the history."""

from dataclasses import replace

from supervisor.core.entries.trainer import DescribedEntry, SignDescribedEntry, TrainerToldEntry
from supervisor.core.history import History, NamedPlace
from supervisor.core.trainer_description import (
    TrainerDescription,
    TrainingIdentity,
    TrainingSaid,
)

_TRAININGS_MAX = 16


def with_description(past: History, said: DescribedEntry | SignDescribedEntry) -> History:
    """The history with one more description. The directory that was named last comes first."""
    is_sign = isinstance(said, SignDescribedEntry)
    entry = said.as_described() if isinstance(said, SignDescribedEntry) else said
    place = entry.directory
    places = past.places
    if place is not None:
        others = (other for other in places if other.path != place)
        places = (NamedPlace(place, entry.attempt), *others)
    of_trainings, training = past.training_places, entry.training
    if place is not None and training is not None:
        identity = (training.directory, training.ordinal)
        of_trainings = with_training_place(of_trainings, identity, place)
    bests = past.bests
    if entry.best is not None:
        bests = {**bests, entry.best.rpartition("/")[0]: entry.best}
    return replace(
        past,
        described=entry,
        described_entries=past.described_entries + 1,
        places=places,
        training_places=of_trainings,
        bests=bests,
        # A trainer that describes itself has attached, so it learns where to resume from.
        ever_attached=past.ever_attached or not is_sign,
    )


def with_training_place(
    places: tuple[tuple[TrainingIdentity, str], ...], training: TrainingIdentity, place: str
) -> tuple[tuple[TrainingIdentity, str], ...]:
    """Where each training saves, with one more; the oldest are forgotten."""
    others = (one for one in places if one[0] != training)
    return (*others, (training, place))[-_TRAININGS_MAX:]


def with_reached(
    reached: tuple[tuple[TrainingIdentity, int], ...],
    said: TrainerDescription | None,
    step: int | None,
) -> tuple[tuple[TrainingIdentity, int], ...]:
    """The highest step of each training, after an attempt ended at `step`."""
    if said is None or said.training is None or step is None:
        return reached
    training = said.training.identity
    step = max(step, dict(reached).get(training, step))
    others = (one for one in reached if one[0] != training)
    return (*others, (training, step))[-_TRAININGS_MAX:]


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

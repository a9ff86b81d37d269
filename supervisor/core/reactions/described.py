"""Reactions to what a trainer says of itself: it is recorded as it changes, and told once."""

from dataclasses import replace

from supervisor.core.effects import Effect, Record, Say
from supervisor.core.entries.trainer import (
    DescribedEntry,
    SignDescribedEntry,
    TrainerToldEntry,
    TrainingNamed,
)
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.replayed_description import with_training_place
from supervisor.core.states import State
from supervisor.core.trainer_description import Described, TrainerDescription

# Of one attempt. A trainer that says more than this says it for no reader.
_SENTENCES_MAX = 50
# Trials of a search train thousands of times in one attempt. Beyond so many entries, only a new
# directory or a new best checkpoint is recorded.
_ENTRIES_MAX = 200


def on_described(state: State, event: Described) -> Reaction:
    """Take in what the running attempt's trainer says of itself."""
    if event.attempt != state.attempt or not state.alive:
        return Reaction("noted", state)
    state, said = _with_its_place(state, event.description)
    effects = list[Effect]()
    entry = entry_of(event, said)
    is_recorded = _is_news(state, event, said)
    if is_recorded:
        effects.append(Record(entry))
    news = [one for one in dict.fromkeys(said.told) if one not in state.trainer_told]
    news = news[: max(_SENTENCES_MAX - len(state.trainer_told), 0)]
    for sentence in news:
        effects.append(Record(TrainerToldEntry(attempt=state.attempt, sentence=sentence)))
        effects.append(Say(f"the trainer says: {sentence}"))
    elsewhere = None if event.instead_of is None else _elsewhere(said, event.instead_of)
    if elsewhere is not None and elsewhere not in state.told_elsewhere:
        note = TrainerToldEntry(attempt=state.attempt, sentence=elsewhere, is_ours=True)
        effects += [Record(note), Say(elsewhere)]
        state = replace(state, told_elsewhere=(*state.told_elsewhere, elsewhere))
    state = replace(
        state,
        description=said,
        described_entries=state.described_entries + is_recorded,
        trainer_told=(*state.trainer_told, *news),
        elsewhere=elsewhere,
        # A loop that gives only signs of life is not told where to resume.
        ever_attached=state.ever_attached or (said.is_attached and not event.is_sign),
    )
    return Reaction("noted", state, tuple(effects))


def _with_its_place(state: State, said: TrainerDescription) -> tuple[State, TrainerDescription]:
    """The description with the directory of the training that it is in now.

    A training may begin within another one. Once the outer one goes on, the description names it
    again, and still the directory of the inner one.
    """
    training, place = said.training, said.directory
    if training is None or place is None:
        return replace(state, named_place=place), said
    known = dict(state.training_places)
    # After the start of a daemon it is not known which directory was named before.
    is_same = state.named_place is None or place == state.named_place
    state = replace(state, named_place=place)
    if is_same and training.identity in known:
        return state, replace(said, directory=known[training.identity])
    places = with_training_place(state.training_places, training.identity, place)
    return replace(state, training_places=places), said


def entry_of(
    event: Described, said: TrainerDescription | None = None
) -> DescribedEntry | SignDescribedEntry:
    """The description as the ledger keeps it, without what changes at each step.

    `said`: what is kept instead of the event's description.
    """
    said = event.description if said is None else said
    training = said.training
    if event.is_sign:
        return SignDescribedEntry(
            attempt=event.attempt, framework=said.framework, directory=said.directory
        )
    return DescribedEntry(
        attempt=event.attempt,
        framework=said.framework,
        directory=said.directory,
        total_steps=said.total_steps,
        best=said.best,
        training=None
        if training is None
        else TrainingNamed(directory=training.directory, ordinal=training.ordinal),
    )


def _is_news(state: State, event: Described, said: TrainerDescription) -> bool:
    before = state.description
    if not said.is_attached:
        return False
    if before is None or (before.directory, before.best) != (said.directory, said.best):
        return True
    if state.described_entries >= _ENTRIES_MAX:
        return False
    return entry_of(event, before) != entry_of(event, said)


def _elsewhere(said: TrainerDescription, configured: str) -> str:
    return (
        f"the trainer saves into {said.directory}, but `checkpoints.directory` is {configured}:"
        f" write `checkpoints: {{directory: {said.directory}}}`, or remove the key. Until then the"
        " supervisor looks only into the configured directory"
    )

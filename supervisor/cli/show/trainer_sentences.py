"""Tells in sentences what the ledger has of the trainer's own words."""

from supervisor.cli.show.formatting import count_text
from supervisor.config.durations import format_duration
from supervisor.core.entries.trainer import (
    DescribedEntry,
    IntervalHintEntry,
    OwnSaveAwaitedEntry,
    RecoveryEntry,
    SignDescribedEntry,
    TrainerEntry,
    TrainerToldEntry,
)
from supervisor.core.wording import trainer_text


def trainer_sentence(entry: TrainerEntry) -> str | None:
    """An entry as a sentence, or a paragraph; None for an unknown kind."""
    match entry:
        case DescribedEntry():
            return _described(entry)
        case SignDescribedEntry():
            return _described(entry.as_described())
        case OwnSaveAwaitedEntry():
            left = "" if entry.left_s is None else f" ({format_duration(entry.left_s)} left)"
            return f"The trainer trains on to its own next save, within the grace{left}."
        case TrainerToldEntry(is_ours=True) | IntervalHintEntry():
            return _whole(entry.sentence)
        case TrainerToldEntry():
            return f"The trainer of attempt {entry.attempt} says: {_whole(entry.sentence)}"
        case RecoveryEntry():
            return " ".join(map(_whole, entry.sentences))
        case _:
            return None


def _described(entry: DescribedEntry) -> str:
    facts = [f"it trains with {trainer_text(entry.framework)}"] if entry.framework else []
    facts += [f"saves into {entry.directory}"] if entry.directory else []
    facts += [f"makes {count_text(entry.total_steps)} steps"] if entry.total_steps else []
    if entry.best:
        facts.append(f"calls {entry.best.rpartition('/')[2]} its best checkpoint")
    if entry.training is not None and entry.training.ordinal > 1:
        facts.append(f"this is training {entry.training.ordinal} with that directory")
    return f"The trainer of attempt {entry.attempt} says: {', '.join(facts) or 'it trains'}."


def _whole(sentence: str) -> str:
    words = sentence.strip().rstrip(".")
    return f"{words[:1].upper()}{words[1:]}."

"""What stands below a sentence of the ledger: the lines that decided, and advice."""

from supervisor.core.entries import attempt, run
from supervisor.core.entries.entry import Entry


def details(entry: Entry) -> list[str]:
    """The evidence below a sentence."""
    match entry:
        case attempt.AttemptEndedEntry():
            advice = [] if entry.advice is None else [f"advice: {entry.advice.text}"]
            return [*entry.evidence[:3], *advice]
        case run.IncidentEntry():
            return list(entry.evidence[:3])
        case _:
            return []

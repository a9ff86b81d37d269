"""What the ledger has to know of checkpoints besides their verdicts: that there are some, where.

A verdict takes until a checkpoint has been left alone for a while; its disk may be gone before.
"""

from supervisor.core.entries.entry import Entry
from supervisor.core.entries.saves import CheckpointPlaceEntry, CheckpointSeenEntry
from supervisor.core.vocabulary import Tier
from supervisor.daemon.tell.recorded import Recorded
from supervisor.survey.answer import Survey


def notes_of(survey: Survey, recorded: Recorded) -> list[Entry]:
    """The entries that a survey adds to what is recorded; none where it says nothing new."""
    there = [
        entry
        for entry in survey.entries
        if entry.tier == Tier.DISK
        and (entry.own_run or entry.candidate)
        and entry.valid is not False
    ]
    if not there:
        return []
    notes: list[Entry] = []
    if survey.mount is not None and survey.mount != recorded.mount:
        place = str(there[0].path.parent)
        notes.append(CheckpointPlaceEntry(directory=place, mount=survey.mount))
    if not recorded.known() and there[0].valid is None:
        notes.append(CheckpointSeenEntry(path=str(there[0].path), step=there[0].step))
    return notes

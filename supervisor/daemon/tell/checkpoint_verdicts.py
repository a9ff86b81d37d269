"""Verdicts on checkpoints as the ledger has them: written once, read back by the next daemon."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from supervisor.checkpoint.records import CheckpointEntry, Proof, Remembered
from supervisor.core.entries.entry import Entry, Stamped
from supervisor.core.entries.saves import (
    CheckpointPlaceEntry,
    CheckpointRemovedEntry,
    CheckpointSeenEntry,
    CheckpointVerdictEntry,
)
from supervisor.core.vocabulary import Tier
from supervisor.daemon.tell.recorded_checkpoints import Recorded
from supervisor.survey.answer import Survey

if TYPE_CHECKING:
    from supervisor.daemon.tell.journal import Journal  # structlog is not for commands


def remember(memory: dict[str, Remembered], entry: Entry) -> None:
    """Take over the verdict of a ledger entry; a removal takes the verdict out again."""
    match entry:
        case CheckpointVerdictEntry(kept=True, fingerprint=str(fingerprint)):
            memory[entry.path] = Remembered(
                fingerprint=fingerprint,
                valid=bool(entry.valid),
                proof=cast("Proof | None", entry.proof),
                reason=entry.reason,
                hashes=entry.hashes,
                step=entry.step,
                epoch=entry.epoch,
                kind=entry.save_kind,
                bytes=entry.bytes or 0,
                own_run=entry.own_run,
                names_best=entry.names_best,
            )
        case CheckpointRemovedEntry():
            memory.pop(entry.path, None)


def memory_of(ledger: Iterable[Stamped]) -> dict[str, Remembered]:
    """The verdicts in a ledger, by the checkpoint's path."""
    memory: dict[str, Remembered] = {}
    for noted in ledger:
        remember(memory, noted.entry)
    return memory


def recorded_of(ledger: Iterable[Stamped]) -> Recorded:
    """What a ledger says of valid checkpoints since the run last began from nothing."""
    recorded = Recorded()
    for noted in ledger:
        recorded.note(noted.entry, noted.wall)
    return recorded


def entry_of(
    found: CheckpointEntry, *, progress: bool, kept: bool = True
) -> CheckpointVerdictEntry:
    """The ledger entry for a verdict; `kept`: it is to be remembered."""
    return CheckpointVerdictEntry(
        path=str(found.path),
        step=found.step,
        epoch=found.epoch,
        save_kind=found.kind,
        bytes=found.bytes,
        valid=found.valid,
        proof=found.proof,
        reason=found.reason,
        fingerprint=found.fingerprint,
        hashes=found.hashes,
        own_run=found.own_run,
        names_best=found.names_best,
        progress=progress,
        kept=kept,
    )


def record_unsettled(journal: "Journal", survey: Survey | None) -> None:
    """Record valid checkpoints too young for a kept verdict: the history should name them too."""
    entries = survey.entries if survey is not None else ()
    journal.record(
        *(
            entry_of(found, progress=False, kept=False)
            for found in entries
            if found.tier == Tier.DISK and found.valid and not found.rememberable
        )
    )


def notes_of(survey: Survey, recorded: Recorded, *, alive: bool) -> list[Entry]:
    """What a survey adds to the ledger besides verdicts: that checkpoints exist, and where.

    A verdict comes only once a checkpoint was left alone for a while. Its disk may be gone before
    that. Empty where the survey says nothing new. `alive`: an attempt runs. Without one, what lies
    below a bare mount point is no reason to forget the mount.
    """
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
    is_known = survey.mount is not None and (alive or survey.unmounted is None)
    if is_known and survey.mount != recorded.mount:
        place = str(there[0].path.parent)
        notes.append(CheckpointPlaceEntry(directory=place, mount=survey.mount))
    if not recorded.known() and there[0].valid is None:
        notes.append(CheckpointSeenEntry(path=str(there[0].path), step=there[0].step))
    return notes

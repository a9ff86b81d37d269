"""Verdicts on checkpoints as the ledger has them: written once, read back by the next daemon."""

from collections.abc import Iterable, Mapping
from typing import Any

from supervisor.checkpoint.recorded import Recorded
from supervisor.checkpoint.records import CheckpointEntry, Remembered, Survey
from supervisor.clock import parse_rfc3339
from supervisor.core.vocabulary import Tier
from supervisor.daemon.journal import Journal


def remember(memory: dict[str, Remembered], entry: Mapping[str, Any]) -> None:
    """Take over the verdict that a ledger entry has, if it has one."""
    match entry.get("type"):
        case "checkpoint" if entry.get("kept", True):
            memory[entry["path"]] = Remembered(
                fingerprint=entry["fingerprint"],
                valid=bool(entry["valid"]),
                proof=entry.get("proof"),
                reason=entry.get("reason"),
                hashes=entry.get("hashes") or {},
                step=entry.get("step"),
                epoch=entry.get("epoch"),
                kind=entry.get("kind"),
                bytes=int(entry.get("bytes") or 0),
                own_run=bool(entry.get("own_run", True)),
                names_best=entry.get("names_best"),
            )
        case "checkpoint_removed":
            memory.pop(str(entry.get("path")), None)


def memory_of(entries: Iterable[Mapping[str, Any]]) -> dict[str, Remembered]:
    """The verdicts that a ledger has."""
    memory: dict[str, Remembered] = {}
    for entry in entries:
        remember(memory, entry)
    return memory


def recorded_of(entries: Iterable[Mapping[str, Any]]) -> Recorded:
    """What a ledger says of valid checkpoints since the run last began from nothing."""
    recorded = Recorded()
    for entry in entries:
        recorded.note(entry, parse_rfc3339(entry["at"]))
    return recorded


def entry_of(found: CheckpointEntry, *, progress: bool) -> dict[str, Any]:
    """The ledger entry for a verdict."""
    return {
        "type": "checkpoint",
        "path": str(found.path),
        "step": found.step,
        "epoch": found.epoch,
        "kind": found.kind,
        "bytes": found.bytes,
        "valid": found.valid,
        "proof": found.proof,
        "reason": found.reason,
        "fingerprint": found.fingerprint,
        "hashes": dict(found.hashes),
        "own_run": found.own_run,
        "names_best": found.names_best,
        "progress": progress,
    }


def record_unsettled(journal: Journal, survey: Survey | None) -> None:
    """Record the verdicts on files too young to be remembered: they are part of the story."""
    entries = survey.entries if survey is not None else ()
    journal.record(
        *(
            {**entry_of(found, progress=False), "kept": False}
            for found in entries
            if found.tier == Tier.DISK and found.valid and not found.rememberable
        )
    )

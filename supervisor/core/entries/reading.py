"""A record of the ledger as an entry. It never fails: what fits no kind here stays as it stands."""

from collections.abc import Mapping
from typing import Any

from supervisor.core.entries import attempt, decision, resuming, run, saves, telling, trainer
from supervisor.core.entries.entry import Entry, UnknownEntry
from supervisor.core.json_values import MisfitError

KINDS: Mapping[str, type[Entry]] = {
    one.kind: one
    for module in (run, attempt, trainer, resuming, saves, decision, telling)
    for one in vars(module).values()
    if isinstance(one, type) and issubclass(one, Entry) and one.kind
}
_NOT_OF_A_KIND = frozenset({"type", "at", "monotonic"})


def read_entry(record: Mapping[str, Any]) -> Entry:
    """The entry that a record stands for; its time is not looked at."""
    kind = record.get("type")
    known = KINDS.get(kind) if isinstance(kind, str) else None
    said = {key: value for key, value in record.items() if key not in _NOT_OF_A_KIND}
    if known is not None:
        try:
            return known.from_json(said)
        except MisfitError:
            pass
    return UnknownEntry(record={"type": kind, **said} if "type" in record else said)

"""What the operator wants, in one small file that beats all automation; it decides nothing."""

import errno
import json
import uuid
from dataclasses import dataclass
from pathlib import Path

from supervisor.core.vocabulary import Intent
from supervisor.system.clock import rfc3339, wall_s
from supervisor.system.durable import write_durably
from supervisor.system.small_file import read_small_file

UNREADABLE = "unreadable"
"""The id of an intent that cannot be understood."""


@dataclass(frozen=True, slots=True)
class IntentRecord:
    """An intent. By its id, the same intent given twice differs from one given once."""

    intent: Intent
    id: str
    at: str


DEFAULT = IntentRecord(Intent.RUN, "", "")
_MOST_BYTES = 1 << 16


def read_intent(path: Path) -> IntentRecord:
    """What the operator wants; `run` where the operator never said anything.

    A file that cannot be understood counts as `hold`. To train against an unreadable wish would be
    worse than to wait for its author. Raises OSError for a file that cannot be read at all.
    """
    try:
        data = json.loads(read_small_file(path, _MOST_BYTES))
        return IntentRecord(
            Intent(data["intent"]), str(data.get("id", "")), str(data.get("at", ""))
        )
    except FileNotFoundError:
        return DEFAULT
    except (ValueError, KeyError, TypeError, RecursionError):
        return IntentRecord(Intent.HOLD, UNREADABLE, "")
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        return IntentRecord(Intent.HOLD, UNREADABLE, "")


def last_intent_id(path: Path) -> str:
    """The id of the last intent, "" where it cannot be read."""
    try:
        return read_intent(path).id
    except OSError:
        return ""


def write_intent(path: Path, intent: Intent) -> IntentRecord:
    """Write a new intent durably, and return it. Raises OSError."""
    record = IntentRecord(intent, uuid.uuid4().hex, rfc3339(wall_s()))
    body = {"intent": record.intent.value, "id": record.id, "at": record.at}
    write_durably(path, json.dumps(body).encode() + b"\n")
    return record

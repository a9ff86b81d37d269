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
"""The id of what nobody can understand."""


@dataclass(frozen=True, slots=True)
class IntentRecord:
    """An intent, with an id so that the same wish uttered twice can be told from one."""

    intent: Intent
    id: str
    at: str


DEFAULT = IntentRecord(Intent.RUN, "", "")
_MOST_BYTES = 1 << 16


def read_intent(path: Path) -> IntentRecord:
    """What the operator wants; `run` where nothing was ever said.

    A file that cannot be understood is a `hold`: training over a wish nobody can read is worse
    than waiting for its author. Raises OSError for one that cannot be read at all.
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
    """The id of what was said last, "" where that cannot be read."""
    try:
        return read_intent(path).id
    except OSError:
        return ""


def write_intent(path: Path, intent: Intent) -> IntentRecord:
    """Say it durably. Raises OSError."""
    record = IntentRecord(intent, uuid.uuid4().hex, rfc3339(wall_s()))
    body = {"intent": record.intent.value, "id": record.id, "at": record.at}
    write_durably(path, json.dumps(body).encode() + b"\n")
    return record

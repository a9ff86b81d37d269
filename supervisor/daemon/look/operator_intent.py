"""The operator's intent as last read. While its file is unreadable the last known one stands."""

import errno
from collections.abc import Callable

from supervisor.core.status import Status
from supervisor.core.vocabulary import Intent
from supervisor.rundir.intent import DEFAULT, UNREADABLE, IntentRecord, read_intent
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status
from supervisor.system import journal_stream

Tell = Callable[[str, int], None]


class OperatorIntent:
    """The intent file, read at each poll. `warning`: why it cannot be read, while it cannot."""

    def __init__(self, paths: RunPaths, say: Tell) -> None:
        self._path = paths.intent
        self._say = say
        self._is_assumed = self._is_absent = False
        self._why = ""
        self.warning: str | None = None
        self._heard = IntentRecord(Intent.RUN, "", "")
        record = self._read()
        if record is None:
            # An earlier daemon may have read it: its last status shows what it read.
            record, self._is_assumed = IntentRecord(_last_shown(paths), "", ""), True
            self._warn(f"the last known intent stands ({record.intent})")
        self._heard = record

    @property
    def intent(self) -> Intent:
        """The intent that stands."""
        return self._heard.intent

    def changed(self) -> Intent | None:
        """Read the file again; returns the intent if the operator gave a new one."""
        record = self._read()
        if record is None:
            self._warn(f"the last known intent stands ({self._heard.intent})")
            return None
        if record.id != UNREADABLE:
            self.warning = None
        was_absent, self._is_absent = self._is_absent, record is DEFAULT
        if record is DEFAULT and self._heard is not DEFAULT and not was_absent:
            return None  # `rm -rf` may be at work: believed at the second look
        if record.id == self._heard.id:
            return None
        # An assumed intent that reads the same now is no news: nobody gave a new one.
        is_news = not (self._is_assumed and record.intent is self._heard.intent)
        self._heard, self._is_assumed = record, False
        return self.intent if is_news else None

    def _read(self) -> IntentRecord | None:
        try:
            record = read_intent(self._path)
            if record is DEFAULT and not self._path.parent.is_dir():
                raise FileNotFoundError(errno.ENOENT, "its directory was removed")
        except OSError as error:
            self._why = error.strerror or str(error)
            return None
        if record.id == UNREADABLE:
            self._why = "the file cannot be understood"
            self._warn("no other attempt is launched until `supervisor resume`")
        return record

    def _warn(self, what: str) -> None:
        line = f"{self._path}: {self._why}: {what}"
        if line != self.warning:
            self._say(line, journal_stream.WARNING)
        self.warning = line


def _last_shown(paths: RunPaths) -> Intent:
    """The intent in the last status."""
    return (read_status(paths.status) or Status()).intent

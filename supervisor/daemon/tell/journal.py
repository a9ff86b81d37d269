"""What the daemon writes down: the ledger for the run, supervisor.log to debug the daemon."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import structlog

from supervisor.core.entries.entry import Entry
from supervisor.core.entries.run import TimeEntry
from supervisor.core.rules.goodput import spend
from supervisor.core.states import State
from supervisor.rundir.ledger import LedgerWriter
from supervisor.system.clock import monotonic_s

LOG_BYTES_MAX = 8 << 20


class Journal:
    """Ledger and log; neither may ever stop the run."""

    def __init__(self, ledger: LedgerWriter, log_path: Path) -> None:
        self.ledger = ledger
        self._is_together = False
        self.listeners: list[Callable[[Entry], None]] = []
        """Called with each entry once it was handed to the ledger."""
        self._file = _LogFile(log_path)
        self.log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            structlog.WriteLogger(self._file),  # type: ignore[arg-type]
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(default=str),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(20),
        )

    def record(self, *entries: Entry) -> bool:
        """Append to the ledger; False while the disk has no room (the entries are kept)."""
        lines = [entry.to_json() for entry in entries]
        is_durable = self._noted(self.ledger.append(lines, sync=not self._is_together))
        for entry in entries:
            for listener in self.listeners:
                listener(entry)
        return is_durable

    @contextmanager
    def together(self) -> Iterator[None]:
        """Sync all entries recorded inside once, at the end: an fsync takes milliseconds.

        Orders given inside go out before that sync. A power cut could lose the entries, but it
        also ends the processes that obeyed. An entry that an order depends on is recorded outside.
        """
        self._is_together = True
        try:
            yield
        finally:
            self._is_together = False
            self._noted(self.ledger.sync())

    def _noted(self, durable: bool) -> bool:
        if not durable:
            self.log.error("ledger_not_durable", backlog=self.ledger.backlog)
        return durable


class _LogFile:
    """A file for structlog: it starts anew at 8 MiB, and counts lines that the disk refuses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = self._open()
        self.refused = 0

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, text: str) -> None:
        try:
            if os.fstat(self._fd).st_size > LOG_BYTES_MAX:
                self._path.replace(self._path.with_suffix(".log.1"))
                os.close(self._fd)
                self._fd = self._open()
            os.write(self._fd, text.encode("utf-8", "replace"))
        except OSError:
            self.refused += 1

    def flush(self) -> None:
        return


def record_account(journal: Journal, state: State) -> None:
    """Record the account of the run's time, up to now."""
    account = spend(state, monotonic_s()).account
    spent = {one.name: round(getattr(account, one.name), 3) for one in fields(account)}
    journal.record(TimeEntry(**spent))

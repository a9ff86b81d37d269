"""Wake-ups from inotify by watchdog: hints that checkpoints changed. Polled `stat` is the truth."""

import logging
import os
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from supervisor.system.self_pipe import SelfPipe

# watchdog complains about a watch that ended while being read. Nobody needs that: the poll goes on.
logging.getLogger("watchdog").addHandler(logging.NullHandler())
logging.getLogger("watchdog").propagate = False

# Only files that appear or are renamed into place: an event for each log line cost 374 µs.
_FILTER: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileMovedEvent,
]


class WakeUps(FileSystemEventHandler):
    """`pipe` becomes readable when a checkpoint may have appeared."""

    def __init__(self) -> None:
        self.pipe = SelfPipe()
        self._observer: BaseObserver = Observer()
        self._watched: set[Path] = set()
        self._started = False

    def watch(self, directory: Path) -> None:
        """Watch a directory that exists; where inotify refuses, only the poll finds changes."""
        # os.path.isdir says False where Path.is_dir raises: a dead mount, or no permission.
        if directory in self._watched or not os.path.isdir(directory):  # noqa: PTH112
            return
        try:
            self._observer.schedule(self, str(directory), event_filter=_FILTER)
            if not self._started:
                self._observer.start()
                self._started = True
        except OSError:
            return
        self._watched.add(directory)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by watchdog's thread: one byte, and nothing else."""
        name = os.path.basename(os.fsdecode(event.dest_path or event.src_path))  # noqa: PTH119
        if name.startswith("."):
            return  # A staging directory: its rename into place is what counts.
        self.pipe.ring()

    def close(self) -> None:
        """End watchdog's threads."""
        if self._started:
            self._observer.stop()
            self._observer.join(timeout=2)
        self.pipe.close()

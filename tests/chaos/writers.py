"""The traced programs: each writes one thing as the product does, and says so on stdout.

`python -m tests.chaos.writers NAME DIRECTORY [FAULT]`; a FAULT is a planted bug.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from supervisor.checkpoint import commit as commit_module
from supervisor.checkpoint import prune, set_aside
from supervisor.checkpoint.commit import CheckpointWriter
from supervisor.core.vocabulary import Intent
from supervisor.memory import persist, slots
from supervisor.rundir.intent import write_intent
from supervisor.rundir.ledger import LedgerWriter
from supervisor.survey import survey
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.system import durable
from tests.chaos.contents import RUN, contents


def commit(parent: Path, step: int, attempt: int = 1) -> None:
    """Write one checkpoint as the trainer does."""
    with CheckpointWriter(
        parent, f"checkpoint-{step}", step=step, epoch=0, run_id=RUN, attempt=attempt
    ) as writer:
        for name, data in contents(step, attempt).items():
            with writer.open(name) as file:
                file.write(data)
        writer.commit()


def look(parent: Path) -> Survey:
    """The survey of a supervisor that starts after the crash."""
    root = run_root(parent)
    return survey.survey(SurveyRequest(parent, run_id=RUN, quiet=True, set_aside=root))


def run_root(parent: Path) -> Path:
    """The set-aside directory of a run directory."""
    return parent.parent / "state" / "set-aside"


def say(text: str) -> None:
    """Make a promise to the outside: the recorder sees this very call."""
    os.write(1, text.encode())


def write_checkpoint(root: Path) -> None:
    """Write a further checkpoint."""
    commit(root / "saves", 500, 2)
    say("committed")


def roll_back(root: Path, places: Sequence[Path] = ()) -> None:
    """Go back behind the newest checkpoint, and save again under its name."""
    parent, why = root / "saves", "the run went back to step 400"
    for entry in look(parent).entries:
        if entry.tier == "disk" and (entry.step or 0) > 400:
            set_aside.put_aside(entry.path, set_aside.SUPERSEDED, why, roots=places)
    say("set aside")
    commit(parent, 500, 2)
    say("committed")


def roll_back_as_the_daemon(root: Path) -> None:
    """The same, with the old checkpoint set aside in the run directory."""
    (root / "state").mkdir()
    durable.fsync_directory(root)
    roll_back(root, set_aside.roots_of(root / "saves", run_root(root / "saves")))


def remove_old(root: Path) -> None:
    """Prune."""
    for entry in prune.plan(look(root / "saves").entries, 2, ()):
        prune.remove(entry)
    say("pruned")


def remove_old_as_the_daemon(root: Path) -> None:
    """Prune by way of the run directory."""
    (root / "state").mkdir()
    durable.fsync_directory(root)
    for entry in prune.plan(look(root / "saves").entries, 2, ()):
        prune.remove(entry, run_root(root / "saves"))
    say("pruned")


def persist_snapshot(root: Path) -> None:
    """Write the run's log, and put the snapshot in memory onto the disk."""
    whole = slots.read_whole(root.parent / "memory")[0]
    with (root / "train.log").open("a") as file:
        file.write("step 500\n")
    persist.persist(whole)
    say("committed")


def keep_ledger(root: Path) -> None:
    """Write a run's first entries, and then a second daemon's."""
    for first in (0, 3):
        writer = LedgerWriter(root / "ledger.jsonl", root / "reserve")
        writer.ensure_reserve()
        for number in range(first, first + 3):
            assert writer.append([{"event": "note", "number": number, "pad": "x" * 3000}])
            say(f"noted {number}")
        writer.close()


def say_intent(root: Path) -> None:
    """Write two intents, and the first again."""
    for intent in (Intent.STOP, Intent.HOLD, Intent.STOP):
        write_intent(root / "intent.json", intent)
        say(intent.value)


WRITERS: dict[str, Callable[[Path], None]] = {
    one.__name__: one
    for one in (
        write_checkpoint,
        persist_snapshot,
        roll_back,
        roll_back_as_the_daemon,
        remove_old,
        remove_old_as_the_daemon,
        keep_ledger,
        say_intent,
    )
}


def without_file_sync() -> None:
    """Plant a bug: files are not flushed."""
    _skip_sync(lambda path: path.is_file())


def without_directory_sync() -> None:
    """Plant a bug: directories are not flushed."""
    _skip_sync(lambda path: path.is_dir())


def renamed_before_written() -> None:
    """Plant a bug: the final name comes first, as in trainers that write in place."""
    real = CheckpointWriter.open

    def open_in_place(self: CheckpointWriter, name: str) -> object:
        path = self.path
        target = path.parent / "checkpoint-500"
        if path != target:
            path.rename(target)
            self._path = target
        return real(self, name)

    def stay(self: CheckpointWriter, path: Path) -> Path:
        durable.fsync_directory(path.parent)
        self._path = None
        return path

    CheckpointWriter.open = open_in_place  # type: ignore[assignment,method-assign]
    CheckpointWriter._publish = stay  # type: ignore[method-assign]


def aside_before_written() -> None:
    """Plant a bug: the old checkpoint goes away before the new one has the name."""
    commit_module.exchange = lambda one, other: False  # type: ignore[assignment]


def deleted_in_place() -> None:
    """Plant a bug: the checkpoint is deleted under its own name."""
    prune.remove = lambda entry: prune.discard(entry.path)  # type: ignore[assignment,attr-defined]


def _skip_sync(is_skipped: Callable[[Path], bool]) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        if not is_skipped(Path(os.readlink(f"/proc/self/fd/{fd}"))):
            real(fd)

    os.fsync = fsync  # type: ignore[assignment]


FAULTS: dict[str, Callable[[], None]] = {
    one.__name__: one
    for one in (
        without_file_sync,
        without_directory_sync,
        renamed_before_written,
        aside_before_written,
        deleted_in_place,
    )
}


if __name__ == "__main__":
    for fault in sys.argv[3:]:
        FAULTS[fault]()
    WRITERS[sys.argv[1]](Path(sys.argv[2]))

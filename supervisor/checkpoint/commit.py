"""Writing a checkpoint so that it is there whole or not at all. The caller writes the files."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from supervisor.checkpoint import set_aside, staging
from supervisor.checkpoint.digest import digest
from supervisor.checkpoint.format import (
    FORMAT,
    MANIFEST,
    TRAINING_STATE,
    FileRecord,
    Kind,
    Manifest,
    is_safe_name,
)
from supervisor.checkpoint.staging import clean_staging
from supervisor.system.clock import rfc3339, wall_s
from supervisor.system.durable import exchange, fsync_directory, make_durably

__all__ = ["CheckpointWriter", "check_training_state", "clean_staging"]

_MOST_STATE_BYTES = 32 << 20


class CheckpointWriter:
    """Writes one checkpoint: a context manager. Put the files into `path`, then call `commit()`.

    Until `commit` nothing new is visible under the name. If the context or `commit` raises, the
    staging directory is removed. After a failed fsync pages may be lost: the caller writes
    everything again with a new writer. A killed process leaves at most one `.staging-…` directory,
    which `clean_staging` removes. `wall`: when the state was taken, in seconds since 1970, if that
    was before the commit.
    """

    def __init__(
        self,
        parent: Path,
        name: str,
        *,
        step: int,
        epoch: int,
        kind: Kind | str = Kind.PERIODIC,
        run_id: str | None = None,
        attempt: int | None = None,
        resumed_from: str | None = None,
        world_size: int = 1,
        torch_version: str | None = None,
        finite: bool | None = None,
        wall: float | None = None,
    ) -> None:
        if not is_safe_name(name) or "/" in name or name.startswith("."):
            raise ValueError(f"{name!r} cannot be the name of a checkpoint")
        self.finite = finite  # may be set until commit
        self._parent = parent
        self._name = name
        self._step = step
        self._epoch = epoch
        self._kind = Kind(kind)
        self._run_id = run_id
        self._attempt = attempt
        self._resumed_from = resumed_from
        self._world_size = world_size
        self._torch_version = torch_version
        self._wall = wall
        self._known: dict[str, FileRecord] = {}
        self._path: Path | None = None
        self.superseded: Path | None = None
        """Where the checkpoint stands now that had the name before. Set by `commit`."""

    def __enter__(self) -> "CheckpointWriter":
        # The parent may be a link. Resolve it once, so that a changed link cannot divert the write.
        self._parent = Path(os.path.realpath(self._parent))
        make_durably(self._parent)
        path = self._parent / staging.staging_name(self._name)
        path.mkdir()
        self._path = path
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        path, self._path = self._path, None
        if path is None:
            return
        try:
            staging.discard(path)
        except OSError:
            # On a failing disk the error from inside the context says more than the failed removal.
            # The next `clean_staging` removes the directory.
            staging.give_up(path)
            if error is None:
                raise

    @property
    def path(self) -> Path:
        """The staging directory that the files are written into."""
        if self._path is None:
            raise ValueError("the writer is not open: use it in a `with` statement, and only once")
        return self._path

    def open(self, name: str) -> BinaryIO:
        """Open a new file of the checkpoint for writing; its folders are made."""
        if not is_safe_name(name):
            raise ValueError(f"{name!r} leads out of the checkpoint")
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")

    def vouch(self, name: str, record: FileRecord) -> None:
        """Give a file's size and hash, taken while it was written: `commit` need not read it."""
        self._known[name] = record

    def commit(self) -> Path:
        """Make the checkpoint durable and give it its name. Returns its path.

        An older checkpoint of that name is set aside on the shelf `superseded`. Raises OSError, and
        ValueError if the files are no checkpoint; the staging directory is removed then.
        """
        path = self.path
        try:
            check_training_state(path / TRAINING_STATE, self._step, self._epoch)
            files, folders = _walk(path)
            records = {name: _sync_and_record(path / name, self._known.get(name)) for name in files}
            with self.open(MANIFEST) as file:
                file.write(self._manifest(records).to_bytes())
                file.flush()
                os.fsync(file.fileno())
            for folder in folders:
                fsync_directory(folder)
            return self._publish(path)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise

    def _manifest(self, records: dict[str, FileRecord]) -> Manifest:
        return Manifest(
            step=self._step,
            epoch=self._epoch,
            kind=self._kind,
            run_id=self._run_id,
            attempt=self._attempt,
            resumed_from=self._resumed_from,
            wall_time=rfc3339(wall_s() if self._wall is None else self._wall),
            world_size=self._world_size,
            torch_version=self._torch_version,
            finite=self.finite,
            files=records,
        )

    def _publish(self, path: Path) -> Path:
        target = self._parent / self._name
        new = path.lstat().st_ino
        reason = f"written again at step {self._step}"
        aside: Path | None = None
        try:
            # Exchange the two names. If the old checkpoint were moved aside first, a crash before
            # the rename could leave none. Where names cannot be exchanged, it is moved aside first.
            is_exchanged = os.path.lexists(target) and exchange(path, target)
            if not is_exchanged:
                if os.path.lexists(target):
                    aside = set_aside.put_aside(target, set_aside.SUPERSEDED, reason)
                    self.superseded = aside
                path.rename(target)
            fsync_directory(self._parent)
            if is_exchanged:
                self.superseded = set_aside.put_aside(
                    path, set_aside.SUPERSEDED, reason, name=self._name
                )
        except BaseException:
            # An interrupt can come between a call and its assignment, so look at the disk.
            if os.path.lexists(target) and target.lstat().st_ino == new:
                if not os.path.lexists(path):
                    target.rename(path)
                else:
                    exchange(path, target)
            if aside is not None:
                set_aside.put_back(aside, target)
            raise
        self._path = None
        return target


def check_training_state(path: Path, step: int, epoch: int) -> None:
    """Raise ValueError unless a file is the marked training state of that step, and OSError."""
    try:
        with path.open("rb") as file:
            state = json.loads(file.read(_MOST_STATE_BYTES))
    except FileNotFoundError as error:
        raise ValueError(f"a checkpoint needs a {TRAINING_STATE}") from error
    except RecursionError as error:
        raise ValueError(f"{TRAINING_STATE} is nested too deeply") from error
    if not isinstance(state, dict):
        raise ValueError(f"{TRAINING_STATE} holds no JSON object")
    found = (state.get("format"), state.get("global_step"), state.get("current_epoch"))
    if found != (FORMAT, step, epoch):
        raise ValueError(
            f"{TRAINING_STATE} says (format, global_step, current_epoch) {found}, "
            f"not {(FORMAT, step, epoch)}"
        )


def _walk(root: Path) -> tuple[list[str], list[Path]]:
    """Names of all files, and all folders with the deepest first. Raises ValueError on links."""
    files: list[str] = []
    folders = [root]
    for path in _descend(root):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            folders.append(path)
        elif stat.S_ISREG(mode):
            files.append(path.relative_to(root).as_posix())
        else:
            raise ValueError(f"{path.name} is neither a file nor a directory")
    return sorted(files), folders[::-1]


def _descend(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _descend(path)


def _sync_and_record(path: Path, known: FileRecord | None) -> FileRecord:
    """Flush one file to the disk. If its hash is not known, it is taken from the page cache."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
        if known is not None:
            if os.fstat(fd).st_size != known.size:
                raise ValueError(
                    f"{path.name} does not have the {known.size} bytes that the caller stated"
                )
            return known
        size, hexdigest = digest(fd)
        return FileRecord(size, hexdigest)
    finally:
        os.close(fd)

"""Copying a checkpoint to another place, and proving the copy. The source is only read."""

import os
from pathlib import Path

from supervisor.checkpoint import staging
from supervisor.checkpoint.digest import digest, open_inside
from supervisor.checkpoint.listing import FileListing, open_root
from supervisor.checkpoint.named_listing import list_files
from supervisor.checkpoint.validate import Validation, validate
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.system.durable import fsync_directory


def export(source: Path, destination: Path) -> Validation:
    """Copy a checkpoint to `destination` (into it, if that is a directory); the copy's verdict.

    The copy is read back and compared with the source. It gets its name only if the verdict is
    valid, and is removed otherwise. Raises SupervisorError (nothing to copy, name taken), OSError.
    """
    source = Path(os.path.realpath(source))
    if not os.path.lexists(source):
        raise SupervisorError(
            f"{source} does not exist",
            hint="`supervisor checkpoints` lists the checkpoints of a run",
            code=ExitCode.USAGE,
        )
    target = destination / source.name if destination.is_dir() else destination
    parent = Path(os.path.realpath(target.parent))
    target = parent / target.name
    if os.path.lexists(target):
        raise SupervisorError(
            f"{target} exists already", hint="give another DESTINATION", code=ExitCode.USAGE
        )
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / staging.staging_name(source.name)
    try:
        folder.mkdir()
        # The copy keeps the source's name while it is proven: a foreign name tells, say, the step.
        verdict = _copy(list_files(source), folder / source.name)
        if verdict.valid:
            (folder / source.name).rename(target)
            fsync_directory(parent)
    finally:
        staging.discard(folder)
    return verdict


def _copy(stock: FileListing, target: Path) -> Validation:
    before: dict[str, str] = {}
    with open_root(stock) as root_fd:
        for name, facts in stock.files.items():
            if not facts.is_regular:
                continue  # A copied link could lead elsewhere. The verdict says if one is needed.
            path = target / name if stock.is_directory else target
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(open_inside(root_fd, name), "rb", buffering=0) as reader:
                before[name] = _copy_file(reader.fileno(), path)
    if not before:
        return Validation(valid=False, proof=None, reason="it holds no files")
    copied = list_files(target)
    for folder in sorted({(copied.root / name).parent for name in copied.files}, reverse=True):
        fsync_directory(folder)
    verdict = validate(target)
    if not verdict.valid:
        return verdict
    # A foreign checkpoint has no hashes of its own: the copy must equal what was read.
    with open_root(copied) as root_fd:
        for name, expected in before.items():
            if verdict.hashes.get(name) == expected:
                continue
            fd = open_inside(root_fd, name if stock.is_directory else target.name)
            try:
                if digest(fd)[1] != expected:
                    return verdict._replace(
                        valid=False, reason=f"the copy of {name} differs from the original"
                    )
            finally:
                os.close(fd)
    return verdict


def _copy_file(fd: int, target: Path) -> str:
    """Copy and flush one file; the xxh3-128 of what was read."""
    with target.open("xb", buffering=0) as writer:

        def write(chunk: memoryview) -> None:
            while chunk:
                chunk = chunk[writer.write(chunk) or 0 :]

        _, hexdigest = digest(fd, write)
        os.fsync(writer.fileno())
        os.fchmod(writer.fileno(), os.fstat(fd).st_mode & 0o777)
    return hexdigest

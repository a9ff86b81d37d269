"""Which names in a checkpoint directory are checkpoints, and what is known of each unread."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from supervisor.checkpoint import pointers, set_aside
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.mark import is_marked_ours
from supervisor.checkpoint.named_listing import list_files
from supervisor.checkpoint.names import (
    MARKS,
    is_checkpoint_name,
    may_be_checkpoint,
    parse_by_pattern,
    parse_name,
    shared_name,
)
from supervisor.checkpoint.position import OrderKey, StepAndEpoch, order, read_position
from supervisor.checkpoint.records import Remembered
from supervisor.checkpoint.shared_names import is_save
from supervisor.checkpoint.validate import ManifestClaim, read_claim
from supervisor.survey.request import SurveyRequest


class Candidate(NamedTuple):
    """One checkpoint as it was listed.

    `known` is what was remembered under its path, `is_unchanged` that this still describes it.
    `claim` is None where nothing had to be read or nothing could be; then `problem` says why.
    """

    stock: FileListing
    shelf: str | None
    known: Remembered | None
    is_unchanged: bool
    position: StepAndEpoch
    claim: ManifestClaim | None
    problem: str | None

    @property
    def name(self) -> str:
        """Its name in the directory."""
        return self.stock.path.name


def find(request: SurveyRequest, folder: Path, on_shelf: str | None = None) -> list[Candidate]:
    """The checkpoints of one directory, newest first; no directory holds none. Raises OSError.

    Names that vanish while they are looked at are left out.
    """
    by_fingerprint = {known.fingerprint: known for known in request.memory.values()}
    found = []
    pattern = request.pattern
    for path in _names(folder, on_shelf is not None, request):
        try:
            stock = list_files(path, pattern)
        except FileNotFoundError:
            continue
        except OSError as error:
            unread = _unlisted(path, pattern)
            # Of a name that others give, too, what holds so many files is data.
            is_data = error.errno == errno.E2BIG and _needs_proof(path, request)
            if unread is not None and not is_data:
                found.append(_unknown(unread, on_shelf, request.memory, error))
            continue
        if on_shelf is None and not _holds_what_it_says(stock, request):
            continue
        known = request.memory.get(str(path))
        if known is None:
            # Moved onto a shelf, or with its whole run directory.
            known = by_fingerprint.get(stock.fingerprint)
        found.append(_look(stock, on_shelf, known))
    places = [
        OrderKey(one.position.step, one.position.epoch, one.stock.mtime, one.name) for one in found
    ]
    return [found[index] for index in order(places)]


def shelves(request: SurveyRequest) -> Iterator[Candidate]:
    """Those that were set aside, wherever that was. Raises OSError."""
    for root in set_aside.roots_of(request.directory, request.set_aside):
        for name in (set_aside.SUPERSEDED, set_aside.INVALID):
            # One that is closed to us, another user's beside the directory: no launch waits for it.
            with suppress(PermissionError, NotADirectoryError):
                if not set_aside.is_no_folder(root / name):
                    yield from find(request, root / name, name)


def _names(folder: Path, is_shelf: bool, request: SurveyRequest) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if not entry.name.startswith(".") and _is_checkpoint(entry, is_shelf, request)
            ]
    except FileNotFoundError:
        return []


def _is_checkpoint(entry: "os.DirEntry[str]", is_shelf: bool, request: SurveyRequest) -> bool:
    """Whether a name, our mark in it, or the user's pattern makes one; nothing else does.

    Links are other names of what stands elsewhere (`last.ckpt`, `latest`): never candidates.
    """
    if entry.is_symlink():
        return False
    if is_shelf:
        return not entry.name.endswith(set_aside.REASON_SUFFIX) and not _is_pointer(entry)
    is_directory = entry.is_dir()
    is_named = is_checkpoint_name(entry.name, request.pattern, is_directory=is_directory)
    if not is_directory:
        return is_named and entry.is_file()
    return is_named or _is_marked(entry) or _is_ours(entry.path, request)


def _holds_what_it_says(stock: FileListing, request: SurveyRequest) -> bool:
    """Whether a directory under a name that evaluations give, too, is a checkpoint by its files."""
    return (
        not stock.is_directory
        or is_save(stock.path.name, stock.files)
        or not _needs_proof(stock.path, request)
    )


def _needs_proof(path: Path, request: SurveyRequest) -> bool:
    """Whether neither our mark nor the user's pattern makes it one under a name of many."""
    name, pattern = path.name, request.pattern
    is_the_users = pattern is not None and parse_by_pattern(name, pattern) is not None
    return shared_name(name) is not None and not is_the_users and not _is_ours(str(path), request)


def _is_marked(entry: "os.DirEntry[str]") -> bool:
    return may_be_checkpoint(entry.name) and any(
        os.path.lexists(f"{entry.path}/{mark}") for mark in MARKS
    )


def _is_ours(path: str, request: SurveyRequest) -> bool:
    """A directory of any name (`best`, `final`, a back-up) that has our mark, or once had it."""
    known = request.memory.get(path)
    return (known is not None and known.proof == "hashes") or is_marked_ours(path)


def _is_pointer(entry: "os.DirEntry[str]") -> bool:
    """Whether a trainer's pointer stands there, which was set aside with its checkpoint."""
    return pointers.is_pointer_name(entry.name) and entry.is_file(follow_symlinks=False)


def _look(stock: FileListing, on_shelf: str | None, known: Remembered | None) -> Candidate:
    """Where it stands in the training: remembered if it is unchanged, else read."""
    if known is not None and known.fingerprint == stock.fingerprint:
        position = StepAndEpoch(known.step, known.epoch, known.kind)
        return Candidate(stock, on_shelf, known, True, position, None, None)
    try:
        claim = read_claim(stock, expect_manifest=known is not None and known.proof == "hashes")
        manifest = claim.manifest
        position = (
            read_position(stock)
            if manifest is None
            else StepAndEpoch(manifest.step, manifest.epoch, manifest.kind.value)
        )
    except OSError as error:
        position = _named(stock)
        return Candidate(stock, on_shelf, known, False, position, None, said(error))
    return Candidate(stock, on_shelf, known, False, position, claim, None)


def _unlisted(path: Path, pattern: str | None) -> FileListing | None:
    """What can be said of a checkpoint whose content cannot be listed; None if it is gone."""
    try:
        top = path.lstat()
    except OSError:
        return None
    return FileListing(
        path=path,
        is_directory=stat.S_ISDIR(top.st_mode),
        files={},
        fingerprint="",
        total_bytes=0,
        newest_mtime_ns=top.st_mtime_ns,
        newest_change_ns=top.st_ctime_ns,
        named=parse_name(path.name, pattern),
    )


def _unknown(
    stock: FileListing, on_shelf: str | None, memory: Mapping[str, Remembered], error: OSError
) -> Candidate:
    known = memory.get(str(stock.path))
    return Candidate(stock, on_shelf, known, False, _named(stock), None, said(error))


def _named(stock: FileListing) -> StepAndEpoch:
    return StepAndEpoch(*(stock.named or (None, None, None)))


def said(error: OSError) -> str:
    """Why a checkpoint is left open."""
    return f"it cannot be read: {error.strerror or error}"

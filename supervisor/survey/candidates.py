"""Which names in a checkpoint directory are checkpoints, and what is known before a proof."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from supervisor.checkpoint import pointers, set_aside
from supervisor.checkpoint.inside import read_inside
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
from supervisor.checkpoint.told_names import MOST_TOLD, may_be_told, parse_told
from supervisor.checkpoint.validate import ManifestClaim, read_claim
from supervisor.survey.nested_folders import nested_folders, nested_name, tools_of
from supervisor.survey.request import SurveyRequest


class Candidate(NamedTuple):
    """One checkpoint as it was listed.

    `known`: the verdict remembered for it. `is_unchanged`: that verdict still describes it.
    `claim` is None for an unchanged checkpoint, and for one that cannot be read. `problem` says
    why it cannot be read.
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
    """The checkpoints of one directory, newest first; none if it does not exist. Raises OSError.

    Names that vanish meanwhile are left out. `on_shelf`: the shelf that `folder` is, if any.
    """
    by_fingerprint = {known.fingerprint: known for known in request.memory.values()}
    found = []
    pattern = request.pattern
    paths = _names(folder, on_shelf is not None, request)
    if on_shelf is None and folder == request.directory:
        paths += _nested(folder, request)
    for path in paths:
        try:
            stock = list_files(path, pattern)
        except FileNotFoundError:
            continue
        except OSError as error:
            unread = _unlisted(path, pattern)
            # Other programs use some of the same names. With so many files it is a data set.
            is_data = error.errno == errno.E2BIG and _needs_proof(path, request)
            if unread is not None and not is_data:
                found.append(_unknown(unread, on_shelf, request.memory, error))
            continue
        if on_shelf is None and not _holds_what_it_says(stock, request):
            continue
        known = request.memory.get(str(path))
        if known is None and on_shelf is None and _is_no_start(stock, request):
            continue
        if known is None:
            # It may have been moved onto a shelf, or with its whole run directory.
            known = by_fingerprint.get(stock.fingerprint)
        found.append(_look(stock, on_shelf, known))
    places = [
        OrderKey(one.position.step, one.position.epoch, one.stock.mtime, one.name) for one in found
    ]
    return [found[index] for index in order(places)]


def shelves(request: SurveyRequest) -> Iterator[Candidate]:
    """The checkpoints that were set aside, in all places for them. Raises OSError."""
    places = (request.directory, *map(Path, request.described))
    roots = [set_aside.roots_of(place, request.set_aside) for place in places]
    for root in dict.fromkeys(chain.from_iterable(roots)):
        for name in (set_aside.SUPERSEDED, set_aside.INVALID):
            # Another user's folder of that name may be closed to us. It must not stop a launch.
            with suppress(PermissionError, NotADirectoryError):
                if not set_aside.is_no_folder(root / name):
                    yield from find(request, root / name, name)


def _is_no_start(stock: FileListing, request: SurveyRequest) -> bool:
    """Whether the content of a single file shows that no run can ever go on from it.

    Weights alone, which Lightning saves beside its checkpoints if told to, are no checkpoint. A
    file that cannot be read is judged later.
    """
    if stock.is_directory:
        return False
    try:
        if not is_checkpoint_name(stock.path.name, request.pattern, is_directory=False):
            return parse_told(stock) is None
        return read_inside(stock).is_weights_alone
    except OSError:
        return False


def _nested(folder: Path, request: SurveyRequest) -> list[Path]:
    """The checkpoints in folders that tools make below the directory by themselves."""
    found = []
    own = os.path.realpath(folder)
    named = {os.path.realpath(place) for place in request.described} - {own}
    named = {place for place in named if not Path(own).is_relative_to(place)}
    for below in nested_folders(folder, run_id=request.run_id, pattern=request.pattern):
        if any(Path(os.path.realpath(below)).is_relative_to(place) for place in named):
            continue  # it is looked into by itself
        tools = tools_of(below.relative_to(folder))
        try:
            with os.scandir(below) as entries:
                found += [
                    Path(entry.path)
                    for entry in entries
                    if not entry.name.startswith(".")
                    and (nested_name(entry.name, tools) is not None or entry.name.isdecimal())
                    and _is_checkpoint(entry, False, request)
                ]
        except OSError:
            continue
    return found


def _names(folder: Path, is_shelf: bool, request: SurveyRequest) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            listed = [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    found, told = [], []
    for entry in listed:
        if _is_checkpoint(entry, is_shelf, request):
            found.append(Path(entry.path))
        elif not is_shelf and may_be_told(entry.name) and entry.is_file(follow_symlinks=False):
            told.append(Path(entry.path))
    return found + (told if len(told) <= MOST_TOLD else [])


def _is_checkpoint(entry: "os.DirEntry[str]", is_shelf: bool, request: SurveyRequest) -> bool:
    """Whether an entry is a checkpoint, by its name, our or orbax's mark, or the user's pattern.

    A link (`last.ckpt`, `latest`) is another name of a checkpoint, and never a candidate.
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
    """Whether the files allow it to be a checkpoint: evaluations, too, make a `step_150/`."""
    return (
        not stock.is_directory
        or is_save(stock.path.name, stock.files)
        or not _needs_proof(stock.path, request)
    )


def _needs_proof(path: Path, request: SurveyRequest) -> bool:
    """Whether only its files can tell: a name of many uses, without our mark or a pattern's match.

    Such a name is `step_150/`, which evaluations give as well.
    """
    name, pattern = path.name, request.pattern
    is_the_users = pattern is not None and parse_by_pattern(name, pattern) is not None
    return shared_name(name) is not None and not is_the_users and not _is_ours(str(path), request)


def _is_marked(entry: "os.DirEntry[str]") -> bool:
    return may_be_checkpoint(entry.name) and any(
        os.path.lexists(f"{entry.path}/{mark}") for mark in MARKS
    )


def _is_ours(path: str, request: SurveyRequest) -> bool:
    """Whether a directory of any name (`best`, `final`, a back-up) has our mark, or once had it."""
    known = request.memory.get(path)
    return (known is not None and known.proof == "hashes") or is_marked_ours(path)


def _is_pointer(entry: "os.DirEntry[str]") -> bool:
    """Whether the entry is a trainer's pointer that was set aside along with its checkpoint."""
    return pointers.is_pointer_name(entry.name) and entry.is_file(follow_symlinks=False)


def _look(stock: FileListing, on_shelf: str | None, known: Remembered | None) -> Candidate:
    """The candidate with its step and epoch: remembered ones if it is unchanged, else read ones."""
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
    """A listing without files, for a checkpoint whose content cannot be listed; None if it is gone.

    Name and times are all that it knows.
    """
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
    """The reason of a checkpoint that gets no verdict because it cannot be read."""
    return f"it cannot be read: {error.strerror or error}"

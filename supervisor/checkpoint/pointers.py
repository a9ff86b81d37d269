"""Correcting a trainer's pointers to its newest checkpoint after that checkpoint was set aside.

Pointers are DeepSpeed's `latest`, Megatron's `latest_checkpointed_iteration.txt`, `last_checkpoint`
of detectron2 and mmengine, and links. This module adds no pointer, and leaves a pointer alone that
names an existing checkpoint or cannot be understood.
"""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from supervisor.checkpoint import staging
from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.set_aside import (
    INVALID,
    REASON_SUFFIX,
    SUPERSEDED,
    is_no_folder,
    put_aside,
)
from supervisor.system.durable import replace_file, replace_link

_MOST_BYTES = 4096  # PATH_MAX
# `put_aside` appends such a number to a name that is taken.
_AGAIN = re.compile(r"(.+)\.\d+")
_FILE = re.compile(r"(?:latest|last)(?:[-_][a-z]+)*(?:\.txt)?(?:\.\d+)?", re.IGNORECASE)
# Files in which a number alone means a checkpoint. `last_step`, `last_epoch` and `last_iter` may be
# the trainer's own counters: they say how far it came, not what it saved.
_NUMBER = re.compile(
    "|".join(
        [
            r"(?:latest|last)_checkpoint(?:\.txt)?",
            *(tool.number_pointer for tool in TOOLS if tool.number_pointer is not None),
        ]
    ),
    re.IGNORECASE,
)
_NEWEST = re.compile(r"latest|last|newest|current|resume", re.IGNORECASE)
_PARTICULAR = re.compile(r"\d|best", re.IGNORECASE)
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
_NUMBERED = re.compile(r"((?:.*\D)?)(\d{1,18})(\D*)", re.ASCII)


class Pointer(NamedTuple):
    """A pointer to a checkpoint that was set aside, and stands at `aside` now.

    `content`: the file's text unchanged, or the link's target. `name`: the checkpoint's former
    name. `content[start:end]` is that name, or the number in it.
    """

    path: Path
    content: str
    start: int
    end: int
    is_link: bool
    name: str
    aside: Path


class Correction(NamedTuple):
    """How a pointer was corrected: it says `to` now; if `to` is None, it was moved to `place`."""

    path: Path
    was: str
    to: str | None
    place: Path | None


class _Series(NamedTuple):
    """A checkpoint's name, split around its last number."""

    before: str
    number: int
    behind: str

    def is_of(self, other: "_Series") -> bool:
        """Whether two names differ only in their number."""
        return (self.before, self.behind) == (other.before, other.behind)


def is_pointer_name(name: str) -> bool:
    """Whether a file of this name may be a trainer's pointer, or one set aside as `latest.2`."""
    return _FILE.fullmatch(name) is not None or _NUMBER.fullmatch(name) is not None


def find_pointers(
    directory: Path, roots: Sequence[Path], cwd: Path, chosen: Path | None = None
) -> list[Pointer]:
    """Find the pointers in a directory whose checkpoint is not there, but on a shelf of `roots`.

    A relative path in a file is tried from the directory and from `cwd`, the trainer's working
    directory. If several checkpoints have a pointer's number, the pointer means the checkpoint in
    the series of `chosen`, the checkpoint to resume from. Raises OSError.
    """
    aside = _names_on_shelves(roots)
    found: list[Pointer] = []
    if not aside:
        return found
    try:
        with os.scandir(directory) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except FileNotFoundError:
        return found
    for entry in entries:
        path, pointer = directory / entry.name, None
        if entry.is_symlink() and not entry.name.startswith("."):
            pointer = _read_link(path, aside)
        elif is_pointer_name(entry.name):
            pointer = _read_file(path, aside, cwd, chosen)
        if pointer is not None:
            found.append(pointer)
    return found


def correct(pointer: Pointer, chosen: Path | None, roots: Sequence[Path]) -> Correction:
    """Make a pointer name the chosen checkpoint, in the pointer's own form, atomically.

    If none is chosen, or that form cannot name it, the pointer is set aside: on its checkpoint's
    shelf, else in one of `roots`. Raises OSError; the pointer is whole then, unchanged unless only
    the last fsync failed.
    """
    path, was = pointer.path, pointer.content.strip()
    content = None if chosen is None else _renamed(pointer, chosen)
    if content is None:
        shelf = pointer.aside.parent
        reason = f"the pointer names {was}, which was set aside as {pointer.aside.name}"
        place = put_aside(path, shelf.name, reason, roots=(shelf.parent, *roots))
        return Correction(path, was, None, place)
    stage = path.parent / staging.staging_name(path.name)
    if pointer.is_link:
        replace_link(path, content, stage)
    else:
        mode = stat.S_IMODE(path.lstat().st_mode)
        replace_file(path, os.fsencode(content), mode=mode, stage=stage)
    return Correction(path, was, content.strip(), None)


def _names_on_shelves(roots: Sequence[Path]) -> dict[str, Path]:
    """Map the former name of everything that was set aside to where it stands now."""
    found: dict[str, Path] = {}
    again: dict[str, Path] = {}
    for folder in (root / shelf for root in roots for shelf in (INVALID, SUPERSEDED)):
        if is_no_folder(folder.parent) or is_no_folder(folder):
            continue
        try:
            names = sorted(path.name for path in folder.iterdir())
        except OSError:  # the shelf is not there, or is another user's
            continue
        for name in names:
            if name.endswith(REASON_SUFFIX):
                continue
            found.setdefault(name, folder / name)
            if match := _AGAIN.fullmatch(name):
                again.setdefault(match[1], folder / name)
    return again | found


def _read_link(path: Path, aside: dict[str, Path]) -> Pointer | None:
    try:
        target = os.readlink(path)  # noqa: PTH115 -- the text as it is
        if not _is_dangling(path):
            return None
    except OSError:
        return None
    span = _find_name(target, path.parent, [path.parent], aside)
    if span is None:
        return None
    name = target[slice(*span)]
    return Pointer(path, target, *span, True, name, aside[name])


def _is_dangling(path: Path) -> bool:
    """Whether a link leads to nothing. Raises OSError if that cannot be known."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    return False


def _read_file(
    path: Path, aside: dict[str, Path], cwd: Path, chosen: Path | None
) -> Pointer | None:
    content = _read(path)
    if content is None:
        return None
    text = content.strip()
    bases = [path.parent, cwd]
    if any(os.path.lexists(base / text) for base in bases):
        return None
    span = _find_name(text, path.parent, bases, aside)
    if span is not None:
        name: str | None = text[slice(*span)]
    elif _NUMBER.fullmatch(path.name) and _DIGITS.fullmatch(text):
        span, name = (0, len(text)), _find_number(int(text), path.parent, aside, chosen)
    else:
        name = None
    if span is None or name is None:
        return None
    offset = content.index(text)
    return Pointer(path, content, offset + span[0], offset + span[1], False, name, aside[name])


def _read(path: Path) -> str | None:
    """Read a text of up to 4 KiB; None if it is blank, larger or binary, or in no regular file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        data = os.read(fd, _MOST_BYTES + 1)
    except OSError:
        return None
    finally:
        os.close(fd)
    if not data.strip() or len(data) > _MOST_BYTES or b"\0" in data:
        return None
    return os.fsdecode(data)


def _find_name(
    text: str, directory: Path, bases: Sequence[Path], aside: dict[str, Path]
) -> tuple[int, int] | None:
    """Return the span of a path that names a checkpoint set aside from this directory."""
    for match in re.finditer(r"[^/]+", text):
        name = match[0]
        if name not in aside or ".." in text[match.end() :].split("/"):
            continue
        folders = (os.path.join(base, text[: match.start()]) for base in bases)  # noqa: PTH118
        is_here = any(os.path.realpath(one) == os.path.realpath(directory) for one in folders)
        if is_here and not os.path.lexists(directory / name):
            return match.span()
    return None


def _find_number(
    number: int, directory: Path, aside: dict[str, Path], chosen: Path | None
) -> str | None:
    """Return the set-aside checkpoint with that number, if it is not in the directory again.

    If several have the number, the number means the checkpoint in the chosen checkpoint's series.
    If that series has none, the number may mean any of these checkpoints. Then the answer is None
    if any of these checkpoints is in the directory.
    """
    wanted = None if chosen is None else _series(chosen.name)
    named: dict[str, _Series] = {}
    for name in sorted(aside):
        # `iter_30.2` was a second `iter_30`: `aside` has it under the name `iter_30` too.
        if is_pointer_name(name) or _AGAIN.fullmatch(name):
            continue
        series = _series(name)
        if series is not None and series.number == number:
            named[name] = series
    there = {_series(path.name) for path in directory.iterdir()} if named else set()
    alike = [name for name, one in named.items() if wanted is not None and one.is_of(wanted)]
    if not alike and there.intersection(named.values()):
        return None
    return next((name for name in alike or named if named[name] not in there), None)


def _series(name: str) -> _Series | None:
    match = _NUMBERED.fullmatch(name)
    return None if match is None else _Series(match[1], int(match[2]), match[3])


def _renamed(pointer: Pointer, chosen: Path) -> str | None:
    """Return the content that makes a pointer name the chosen checkpoint; None if none can."""
    directory = pointer.path.parent
    if os.path.realpath(chosen.parent) != os.path.realpath(directory):
        return None  # the chosen checkpoint is a snapshot in memory
    before, said = pointer.content[: pointer.start], pointer.content[pointer.start : pointer.end]
    behind = pointer.content[pointer.end :]
    if said != pointer.name:
        old, new = _series(pointer.name), _series(chosen.name)
        if old is None or new is None or not new.is_of(old):
            return None
        return before + str(new.number).zfill(len(said) if said.startswith("0") else 0) + behind
    is_alike = pointer.aside.is_dir() == chosen.is_dir()
    if not chosen.is_dir():
        is_alike = is_alike and Path(pointer.name).suffix == chosen.suffix
    if pointer.is_link and not _means_newest(pointer.path.name):
        return None
    # A link may lead to a file within a checkpoint: the chosen checkpoint must have it, too.
    is_there = os.path.lexists(f"{directory / chosen.name}{behind.rstrip()}")
    return before + chosen.name + behind if is_alike and is_there else None


def _means_newest(name: str) -> bool:
    """Whether a link may lead to the newest checkpoint, by its name: `best.ckpt` may not."""
    return bool(_NEWEST.search(name)) or not _PARTICULAR.search(name)

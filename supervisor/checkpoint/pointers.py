"""A trainer's own pointers to its newest checkpoint, corrected once that one was set aside.

DeepSpeed's `latest`, Megatron's `latest_checkpointed_iteration.txt`, `last_checkpoint` of
detectron2 and mmengine, and links. None is made. None is touched that names a checkpoint which is
there, or says what is not understood.
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
# What `put_aside` appends to a taken name.
_AGAIN = re.compile(r"(.+)\.\d+")
_FILE = re.compile(r"(?:latest|last)(?:[-_][a-z]+)*(?:\.txt)?(?:\.\d+)?", re.IGNORECASE)
# Files in which a number alone means a checkpoint. `last_step`, `last_epoch` and `last_iter` may be
# counters of the trainer's own, which say how far it came and not what it saved.
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
    """One that names what was set aside. `content[start:end]` is the name, or its number.

    `content`: a file's text as it is, or where a link leads. `name`: of the checkpoint that it
    means, which stands at `aside` now.
    """

    path: Path
    content: str
    start: int
    end: int
    is_link: bool
    name: str
    aside: Path


class Correction(NamedTuple):
    """What became of a pointer: it says `to` now, or, that being None, stands at `place`."""

    path: Path
    was: str
    to: str | None
    place: Path | None


class _Series(NamedTuple):
    """What a checkpoint's name is made of, around its last number."""

    before: str
    number: int
    behind: str

    def is_of(self, other: "_Series") -> bool:
        """Whether two names differ in their number alone."""
        return (self.before, self.behind) == (other.before, other.behind)


def is_pointer_name(name: str) -> bool:
    """Whether a file of this name may be a trainer's pointer, also where it was set aside."""
    return _FILE.fullmatch(name) is not None or _NUMBER.fullmatch(name) is not None


def find_pointers(
    directory: Path, roots: Sequence[Path], cwd: Path, chosen: Path | None = None
) -> list[Pointer]:
    """Those in a checkpoint directory that name what is not there but on a shelf of `roots`.

    Relative paths in a file may be meant from `cwd`, the trainer's. A number that two of them have
    means the one of the series of `chosen`, the checkpoint to go on from. Raises OSError.
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
    """Let a pointer name the chosen checkpoint, in the form it had, atomically.

    Where none is chosen, or the chosen one cannot be named so, the pointer is set aside beside
    what it names, or onto another of `roots`. Raises OSError; the pointer is as it was then.
    """
    path, was = pointer.path, pointer.content.strip()
    content = None if chosen is None else _renamed(pointer, chosen)
    if content is None:
        shelf = pointer.aside.parent
        reason = f"it names {was}, which is set aside as {pointer.aside.name}"
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
    """Where each is that was set aside, by the name it had."""
    found: dict[str, Path] = {}
    again: dict[str, Path] = {}
    for folder in (root / shelf for root in roots for shelf in (INVALID, SUPERSEDED)):
        if is_no_folder(folder.parent) or is_no_folder(folder):
            continue
        try:
            names = sorted(path.name for path in folder.iterdir())
        except OSError:  # not there, or not ours
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
    """Raises OSError where that cannot be known."""
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
    """A small text; None for whatever else has the name."""
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
    """Which part of a path is the name of something in the directory that was set aside."""
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
    """The checkpoint of that number that was set aside, if it is not in the directory.

    Of several, the one of the chosen checkpoint's series; if that has none, the number may mean
    any of them, and all are gone.
    """
    wanted = None if chosen is None else _series(chosen.name)
    named: dict[str, _Series] = {}
    for name in sorted(aside):
        # `iter_30.2` is another `iter_30`, which is listed by that name too.
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
    """What a pointer has to say to name the chosen one; None where it cannot."""
    directory = pointer.path.parent
    if os.path.realpath(chosen.parent) != os.path.realpath(directory):
        return None  # a snapshot in memory
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
    # A link may lead to one file within it.
    is_there = os.path.lexists(f"{directory / chosen.name}{behind.rstrip()}")
    return before + chosen.name + behind if is_alike and is_there else None


def _means_newest(name: str) -> bool:
    """Whether a link says by its name that it leads to the newest; `best.ckpt` would lie."""
    return bool(_NEWEST.search(name)) or not _PARTICULAR.search(name)

"""Which files and directories of one series this attempt saved: by number, growth and rewriting.

It opens no file, and lists a directory only if evaluations use its name, too (`is_save_at`).
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, pairwise
from operator import attrgetter
from time import time
from typing import NamedTuple

from supervisor.checkpoint import save_names
from supervisor.checkpoint.names import is_checkpoint_name, parse_by_pattern, parse_name
from supervisor.checkpoint.save_names import NamePlace
from supervisor.checkpoint.save_numbers import counts, is_set_apart, numbers, step_number
from supervisor.checkpoint.save_words import has_save_word
from supervisor.checkpoint.shared_names import is_save_at
from supervisor.survey.elsewhere.look_alikes import LookAlike
from supervisor.survey.elsewhere.records import FileLook, SearchRequest

# The last file may get its time a little after the trainer's end was noticed.
_AFTERWARDS_S = 2.0
# A save that is being written changes all the time. A change after so much quiet is another save.
_SETTLED_S = 5.0
# Shards of one save are written at once. Between two saves there is training.
_BETWEEN_SAVES_S = 0.1
# Layers and patches of models that people download in more than one size: `ViT-B-16.pt`.
_SIZES = frozenset({8, 14, 16, 18, 19, 32, 34, 50, 101, 152})


class Series(NamedTuple):
    """Files or directories of one directory whose names differ only in their numbers, oldest first.

    `fresh`: those that this attempt wrote. `is_recognised`: a survey would list the newest.
    """

    members: tuple[LookAlike, ...]
    fresh: tuple[LookAlike, ...]
    is_recognised: bool

    def grows(self) -> bool:
        """Whether this attempt wrote two of them at different times."""
        apart_ns = self.fresh[-1].mtime_ns - self.fresh[0].mtime_ns
        return apart_ns >= _BETWEEN_SAVES_S * 1e9


def series_of(request: SearchRequest, found: Iterable[LookAlike]) -> Iterator[Series]:
    """The series of one directory."""
    kind = attrgetter("is_directory", "key")
    for _, group in groupby(sorted(found, key=kind), key=kind):
        members = tuple(sorted(group, key=lambda one: (one.mtime_ns, one.name)))
        fresh = tuple(one for one in members if _is_fresh(request, one))
        yield Series(members, fresh, _is_recognised(request, members[-1]))


def see(request: SearchRequest, found: LookAlike) -> FileLook:
    """The file's record for the next look. It counts a rewrite since the last look."""
    before = request.before.get(found.path)
    is_settled = time() - found.mtime_ns / 1e9 >= _SETTLED_S
    rewrites = 0 if before is None else before.rewrites
    if before is not None and before.mtime_ns != found.mtime_ns:
        # A file that only grows is still being written, or is appended to. It counts as written
        # anew if its inode is new, if it did not grow, or if it is of weights and was settled.
        is_whole = before.is_settled and save_names.is_certain(found.name)
        if before.inode != found.inode or found.size <= before.size or is_whole:
            rewrites += 1
    return FileLook(found.inode, found.size, found.mtime_ns, rewrites, is_settled)


def are_saves(
    request: SearchRequest, place: NamePlace, series: Series, seen: Mapping[str, FileLook]
) -> bool:
    """Whether this attempt saved these: a numbered or known name, or one written a second time."""
    if not series.fresh or _is_later(request, series.members[-1]):
        return False
    newest = series.fresh[-1]
    is_called_save = has_save_word(newest.name) or save_names.is_certain(newest.name)
    if not request.steps_seen:
        is_called_save = is_called_save or place.is_called_save()
        return is_called_save and series.grows() and _is_numbered(request, place, series)
    if _is_numbered(request, place, series):
        return True
    if series.is_recognised and newest.is_sure and not newest.is_directory:
        # nanoGPT's `ckpt.pt`: the next attempt would write over the only save there is.
        return True
    # stable-baselines3 saves `ppo.zip`, named after the algorithm, in a directory of an argument.
    is_told = place.is_named and place.is_told and newest.name.lower().endswith(".zip")
    return (newest.is_sure or is_told) and any(seen[one.path].rewrites for one in series.fresh)


def _is_numbered(request: SearchRequest, place: NamePlace, series: Series) -> bool:
    """Whether the numbers of a series count its saves."""
    newest = series.fresh[-1]
    found = numbers(newest.name)
    weight = max((number.weight for number in found), default=None)
    parsed = parse_name(newest.name, request.pattern) if series.is_recognised else None
    if parsed is not None and (parsed.step is not None or parsed.epoch is not None):
        weight = 1
    if weight is None:
        return False
    is_bare = not newest.is_directory and save_names.stem(newest.name).isdecimal()
    if weight and not is_bare:
        return newest.is_sure or series.grows()
    if place.is_called_save() and weight and newest.is_sure:
        return True
    is_spoken_for = place.is_named or place.is_called_save() or save_names.names_model(newest.name)
    is_apart = is_set_apart(newest.name, after_letter=request.steps_seen)
    is_series = series.grows() and is_apart
    return is_series and (is_spoken_for or _counts_steps([one.name for one in series.fresh]))


def _counts_steps(names: list[str]) -> bool:
    """Whether numbers without a word for steps count steps. Data are numbered 0, 1, 2."""
    chosen = step_number(names)
    if chosen is None:
        return False
    values = [counts(name)[chosen] for name in names]
    if values != sorted(values) or set(values) <= _SIZES:
        return False
    distinct = sorted(set(values))
    is_strided = all(b - a > 1 for a, b in pairwise(distinct))
    return is_strided or not save_names.is_tensor_name(names[-1])


def _is_fresh(request: SearchRequest, found: LookAlike) -> bool:
    """Whether it was written by this attempt, under a path that was not there before."""
    if request.since is None or found.path in request.known_before:
        return False
    return request.since <= found.mtime_ns / 1e9 and not _is_later(request, found)


def _is_later(request: SearchRequest, found: LookAlike) -> bool:
    return request.until is not None and found.mtime_ns / 1e9 > request.until + _AFTERWARDS_S


def _is_recognised(request: SearchRequest, found: LookAlike) -> bool:
    """Whether a survey of its directory would list it."""
    name, pattern = found.name, request.pattern
    if found.is_marked:
        return True
    if not is_checkpoint_name(name, pattern, is_directory=found.is_directory):
        return False
    is_the_users = pattern is not None and parse_by_pattern(name, pattern) is not None
    return not found.is_directory or is_the_users or is_save_at(found.path)

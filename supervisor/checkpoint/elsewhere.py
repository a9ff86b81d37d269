"""Where a trainer really saves, when its saves are not where the supervisor looks for them.

It reads names, sizes and times, never a file's content, and changes nothing. What it finds may
hold a training: what could as well be data, a download or another run's does not count.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from time import time
from typing import NamedTuple

from supervisor.checkpoint import save_names
from supervisor.checkpoint.directory_advice import is_new_each_start
from supervisor.checkpoint.directory_walk import Budget, Listing, real_path, walk
from supervisor.checkpoint.look_alikes import LookAlike, look_alikes
from supervisor.checkpoint.names import is_checkpoint_name, parse_by_pattern, parse_name
from supervisor.checkpoint.save_numbers import (
    counts,
    is_set_apart,
    numbers,
    step_number,
    suggest_pattern,
)
from supervisor.checkpoint.search_records import Saves, SearchRequest, SearchResult, Seen
from supervisor.checkpoint.shared_names import is_save_at

__all__ = ["Saves", "SearchRequest", "SearchResult", "Seen", "inventory", "search"]

# What was written last may get its time a little after the trainer's end was noticed.
_AFTERWARDS_S = 2.0
# A save that is being written changes all the time; after so much quiet it is another save.
_SETTLED_S = 5.0
# Shards of one save are written at once; two saves have training between them.
_BETWEEN_SAVES_S = 0.1
_MOST_SEEN = 2_000
_MOST_SAVES = 10
_MOST_NAMES = 5


class _Series(NamedTuple):
    """What of one directory differs in its numbers alone, oldest first; `fresh`: this attempt's."""

    members: tuple[LookAlike, ...]
    fresh: tuple[LookAlike, ...]
    is_recognised: bool


def inventory(request: SearchRequest) -> frozenset[str]:
    """The paths of all that looks like a save now: the next request's `known_before`."""
    budget = Budget()
    # More names count where steps are seen; that they will be is not known yet.
    asked = replace(request, steps_seen=True)
    return frozenset(
        found.path
        for listing in walk(asked, budget)
        for found in look_alikes(asked, listing, budget)
    )


def search(request: SearchRequest) -> SearchResult:
    """What this attempt saved, as far as names, times and two looks can tell.

    Bounded: 50,000 names and 2 s, unless a file system does not answer. What cannot be read is
    passed over.
    """
    budget = Budget()
    seen: dict[str, Seen] = {}
    saves: list[Saves] = []
    supervised = real_path(request.supervised)
    for listing in walk(request, budget):
        found = tuple(_series(request, look_alikes(request, listing, budget)))
        seen.update((one.path, _see(request, one)) for series in found for one in series.fresh)
        counted = [series for series in found if _counts(request, listing, series, seen)]
        is_supervised = listing.path == supervised and any(one.is_recognised for one in counted)
        if counted and not is_supervised:
            saves.append(_saves(request, listing, counted))
    if budget.is_exceeded:
        seen = {**request.before, **seen}  # not reached this time is not gone
    newest = sorted(seen.items(), key=lambda item: item[1].mtime_ns, reverse=True)
    saves.sort(key=lambda one: (not one.is_named, -one.newest))
    return SearchResult(tuple(saves[:_MOST_SAVES]), dict(newest[:_MOST_SEEN]), budget.is_exceeded)


def _series(request: SearchRequest, found: Iterator[LookAlike]) -> Iterator[_Series]:
    kind = attrgetter("is_directory", "key")
    for _, group in groupby(sorted(found, key=kind), key=kind):
        members = tuple(sorted(group, key=lambda one: (one.mtime_ns, one.name)))
        fresh = tuple(one for one in members if _is_fresh(request, one))
        yield _Series(members, fresh, _is_recognised(request, members[-1]))


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
    if not is_checkpoint_name(name, pattern, is_directory=found.is_directory):
        return False
    is_the_users = pattern is not None and parse_by_pattern(name, pattern) is not None
    return not found.is_directory or is_the_users or is_save_at(found.path)


def _see(request: SearchRequest, found: LookAlike) -> Seen:
    """What to remember of it, with what earlier looks saw."""
    before = request.before.get(found.path)
    is_settled = time() - found.mtime_ns / 1e9 >= _SETTLED_S
    rewrites = 0 if before is None else before.rewrites
    if before is not None and before.mtime_ns != found.mtime_ns:
        # A file that only grows is being written, or is appended to.
        is_whole = before.is_settled and found.name.lower().endswith(save_names.CERTAIN_ENDINGS)
        if before.inode != found.inode or found.size <= before.size or is_whole:
            rewrites += 1
    return Seen(found.inode, found.size, found.mtime_ns, rewrites, is_settled)


def _counts(
    request: SearchRequest, listing: Listing, series: _Series, seen: Mapping[str, Seen]
) -> bool:
    """Whether this attempt saved these: a numbered name, or one name written a second time."""
    fresh = series.fresh
    if not fresh or _is_later(request, series.members[-1]):
        return False
    name = fresh[-1].name
    weight = max((number.weight for number in numbers(name)), default=None)
    parsed = parse_name(name, request.pattern) if series.is_recognised else None
    if parsed is not None and (parsed.step is not None or parsed.epoch is not None):
        weight = 1
    is_called_save = save_names.has_save_word(name) or name.lower().endswith(
        save_names.CERTAIN_ENDINGS
    )
    if not request.steps_seen:
        is_called_save = is_called_save or save_names.has_save_word(listing.path.name)
        is_counted = weight is not None and (weight > 0 or is_set_apart(name))
        apart_ns = fresh[-1].mtime_ns - fresh[0].mtime_ns
        return is_called_save and is_counted and apart_ns >= _BETWEEN_SAVES_S * 1e9
    if weight is not None and (weight > 0 or len(fresh) > 1):
        return True
    return is_called_save and any(seen[one.path].rewrites for one in fresh)


def _saves(request: SearchRequest, listing: Listing, series: Sequence[_Series]) -> Saves:
    """One directory's saves, under the names that are best resumed from."""

    def rank(one: _Series) -> tuple[bool, bool, bool, int]:
        newest = one.fresh[-1]
        is_main = not save_names.is_companion(newest.name)
        return one.is_recognised, newest.is_directory, is_main, newest.size

    best = max(series, key=rank)
    directory, names = listing.path, [one.name for one in best.fresh]
    is_recognised, is_directories = best.is_recognised, best.fresh[-1].is_directory
    if _is_one_save(listing, series):
        directory, names, is_directories = directory.parent, [directory.name], True
        is_recognised = parse_name(names[-1], request.pattern) is not None
    return Saves(
        directory=directory,
        names=tuple(reversed(names[-_MOST_NAMES:])),
        step=_step(request, names),
        is_recognised=is_recognised,
        is_directories=is_directories,
        suggested_pattern=None if is_recognised else suggest_pattern(names),
        newest=best.fresh[-1].mtime_ns / 1e9,
        is_new_each_start=is_new_each_start(directory, request.places, request.working_directories),
        is_named=listing.is_named,
    )


def _is_one_save(listing: Listing, series: Sequence[_Series]) -> bool:
    """Whether all of a directory is one save, written again and again: `last/` of several files."""
    names = [one.fresh[-1].name for one in series]
    companions = [save_names.is_companion(name) for name in names]
    is_numbered = any(
        one.is_recognised or numbers(name) for one, name in zip(series, names, strict=True)
    )
    return not listing.is_start and not is_numbered and any(companions) and not all(companions)


def _step(request: SearchRequest, names: Sequence[str]) -> int | None:
    parsed = parse_name(names[-1], request.pattern)
    if parsed is not None:
        return parsed.step
    chosen = step_number(names)
    return None if chosen is None else counts(names[-1])[chosen]

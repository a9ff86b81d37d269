"""Where a trainer really saves, when its saves are not where the supervisor looks for them.

It judges saves by names, sizes and times, and changes nothing. A finding may hold a run. So a file
that could as well be data, a download or another run's save does not count.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from supervisor.checkpoint import save_names
from supervisor.checkpoint.how_to_resume import how_to_resume
from supervisor.checkpoint.names import parse_name
from supervisor.checkpoint.save_numbers import counts, numbers, step_number, suggest_pattern
from supervisor.survey.elsewhere.advice import is_new_each_start
from supervisor.survey.elsewhere.directory_walk import Listing, WalkBudget, walk
from supervisor.survey.elsewhere.kept_out import real_path
from supervisor.survey.elsewhere.look_alikes import look_alikes
from supervisor.survey.elsewhere.records import (
    DirectorySaves,
    FileLook,
    SearchRequest,
    SearchResult,
)
from supervisor.survey.elsewhere.save_series import Series, are_saves, see, series_of

__all__ = ["DirectorySaves", "FileLook", "SearchRequest", "SearchResult", "inventory", "search"]

_MOST_SEEN = 2_000
_MOST_SAVES = 10
_MOST_NAMES = 5
_MOST_INSIDE = 200


def inventory(request: SearchRequest, budget: WalkBudget | None = None) -> frozenset[str]:
    """The paths of all files and directories that look like saves now.

    They become `known_before` in the next request.
    """
    budget = WalkBudget() if budget is None else budget
    # With steps more names count. Whether steps will be seen is not known yet, so note them all.
    asked = replace(request, steps_seen=True)
    return frozenset(
        found.path
        for listing in walk(asked, budget)
        for found in look_alikes(asked, listing, budget)
    )


def search(request: SearchRequest) -> SearchResult:
    """What this attempt saved, as far as names, times and two looks can tell.

    It stops after 50,000 names or 2 s; a file system that does not answer can hold it up longer. It
    passes over what cannot be read.
    """
    budget = WalkBudget()
    seen: dict[str, FileLook] = {}
    saves: list[DirectorySaves] = []
    supervised = real_path(request.supervised)
    for listing in walk(request, budget):
        found = tuple(series_of(request, look_alikes(request, listing, budget)))
        seen.update((one.path, see(request, one)) for series in found for one in series.fresh)
        counted = [one for one in found if are_saves(request, listing.place, one, seen)]
        is_supervised = listing.path == supervised and any(one.is_recognised for one in counted)
        if counted and not is_supervised:
            saves.append(_saves(request, listing, counted))
    if budget.is_exceeded:
        seen = {**request.before, **seen}  # a file that this look did not reach may still exist
    newest = sorted(seen.items(), key=lambda item: item[1].mtime_ns, reverse=True)
    saves.sort(key=lambda one: (not one.is_named, -one.newest))
    return SearchResult(tuple(saves[:_MOST_SAVES]), dict(newest[:_MOST_SEEN]), budget.is_exceeded)


def _saves(request: SearchRequest, listing: Listing, series: Sequence[Series]) -> DirectorySaves:
    """One directory's saves, under the names of the series that is best to resume from."""

    def rank(one: Series) -> tuple[bool, bool, bool, int]:
        newest = one.fresh[-1]
        is_main = not save_names.is_companion(newest.name)
        return one.is_recognised, newest.is_directory, is_main, newest.size

    best = max(series, key=rank)
    directory, names = listing.path, [one.name for one in best.fresh]
    is_recognised, is_directories = best.is_recognised, best.fresh[-1].is_directory
    if _is_one_save(listing, series):
        directory, names, is_directories = directory.parent, [directory.name], True
        is_recognised = parse_name(names[-1], request.pattern) is not None
    return DirectorySaves(
        directory=directory,
        names=tuple(reversed(names[-_MOST_NAMES:])),
        step=_step(request, names),
        is_recognised=is_recognised,
        is_directories=is_directories,
        suggested_pattern=None if is_recognised else suggest_pattern(names),
        newest=best.fresh[-1].mtime_ns / 1e9,
        is_new_each_start=is_new_each_start(directory, request.places, request.working_directories),
        is_named=listing.place.is_named,
        how_to_resume=how_to_resume(directory / names[-1], _inside(directory / names[-1])),
    )


def _inside(save: Path) -> list[str]:
    """The names in a save that is a directory, which may show the tool that wrote it."""
    try:
        with os.scandir(save) as entries:
            return [entry.name for entry in islice(entries, _MOST_INSIDE)]
    except OSError:
        return []  # a single file


def _is_one_save(listing: Listing, series: Sequence[Series]) -> bool:
    """Whether a directory as a whole is one save, written again and again: `last/` with its files.

    Then its names have no numbers, and only some of them are companions such as an optimizer.
    """
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

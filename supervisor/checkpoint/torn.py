"""A run's first save, cut off by the end of its attempt: the one bad checkpoint that loses nothing.

Two bad ones, or one from before the run, may mean that the proof is wrong: those are held.
"""

from collections.abc import Sequence

from supervisor.checkpoint.records import Entry, SurveyRequest

# Its last write was the attempt's last act; one that lay there for longer was thought to be whole.
_LAST_ACT_S = 60.0


def find_torn_first(request: SurveyRequest, entries: Sequence[Entry]) -> str | None:
    """The name of the only checkpoint, where it is the last attempt's first save, cut off.

    `entries`: all that a survey found, those set aside included.
    """
    begun, ended = request.attempt_wall, request.ended_wall
    if begun is None or request.known or not request.quiet:
        return None
    there = [e for e in entries if e.tier != "set_aside" and (e.own_run or e.candidate)]
    since = request.begun_wall or 0.0
    earlier = [e for e in entries if e.tier == "set_aside" and e.own_run and e.mtime >= since]
    if len(there) != 1 or earlier:
        return None
    only = there[0]
    is_torn = only.tier == "disk" and only.own_run and only.valid is False
    is_of_last = only.mtime >= begun and (ended is None or ended - only.mtime <= _LAST_ACT_S)
    return only.name if is_torn and is_of_last else None

"""Chooses one of the explanations; the rules and their order are in the docstring of `diagnose`.

It must not know exit codes or signals.
"""

import bisect
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from supervisor.core.vocabulary import Action, Failure, Nature
from supervisor.diagnosis.explanation import PEERS_GO_ON_STEPS, Explanation
from supervisor.diagnosis.line_memo import prefix_of
from supervisor.diagnosis.log_line import shows_going_on
from supervisor.diagnosis.rules.rule import Weight
from supervisor.diagnosis.steps_after import StepsAfter
from supervisor.diagnosis.suspect_lines import find_candidates
from supervisor.diagnosis.user_rules import NO_RULES, UserRules
from supervisor.diagnosis.voice import is_sample_before

_SAME_FAILURE_LINES = 3
# So many steps other ranks may print before a watchdog's timeout tells of a rank that died.
_TIMEOUT_WAITS_STEPS = 50

_REBORN = re.compile(r"will restart worker group|Rendezvous complete for workers")
_TASK_DIED = re.compile(
    r"srun: error: \S{1,200}: tasks? \S{1,80}: (?:Exited with|Killed|Seg|Bus|Abort|Out Of Memory)"
)
_TASK_DIED_LINES = 50
_STAMPED_MOST = 0.9
_PEERS_WORDS = (Failure.NCCL_NETWORK, Failure.RENDEZVOUS)

_SEVERAL_PROCESSES = (
    "local_rank",
    "torchrun",
    "torch.distributed",
    "[rank",
    "processgroup",
    "nccl",
)


def choose(
    lines: Sequence[str],
    *,
    first_step: int,
    kernel: int,
    is_possible: Callable[[Explanation], bool],
    is_over: bool,
    as_at_start: bool = False,
    rules: UserRules = NO_RULES,
) -> Explanation | None:
    """The best explanation in clean `lines`, oldest first; None if there is none.

    The first `kernel` lines are the kernel log's. `is_possible`: whether the exit allows an
    explanation. `is_over`: the attempt is known to have failed. `first_step`: the line from which
    on a step was made. `as_at_start`: the rules for a start are asked, after the first step too.
    `rules`: the user's own.
    """
    candidates = [
        replace(found, from_kernel=True) if found.index < kernel else found
        for found in find_candidates(lines, first_step, as_at_start=as_at_start, rules=rules)
    ]
    candidates = [found for found in candidates if is_possible(found)]
    if not candidates:
        return None
    is_distributed = len({found.stream for found in candidates}) > 1 or any(
        word in lowered for lowered in map(str.lower, lines) for word in _SEVERAL_PROCESSES
    )
    candidates = _demote_handled(candidates, lines, is_distributed=is_distributed)
    if not is_distributed:
        candidates = _without_quoted(candidates)
    steps = StepsAfter(lines, min(found.index for found in candidates))
    return _believe(candidates, lines, steps, is_over=is_over, is_distributed=is_distributed)


def _believe(
    candidates: Sequence[Explanation],
    lines: Sequence[str],
    steps: StepsAfter,
    *,
    is_over: bool,
    is_distributed: bool,
) -> Explanation | None:
    candidates = _of_the_last_life(candidates, lines, steps)
    later = {id(found): steps.count(found.end) for found in candidates}
    candidates = [found for found in candidates if not _follows_a_task(found, lines)]
    if not is_over:
        # A log that may go on shows by any later step that the line ended nothing.
        candidates = [found for found in candidates if not steps.goes_on_after(found.end)]
        # Nor does a text that stands in a printed sample.
        candidates = [one for one in candidates if not is_sample_before(lines, one.index)]
    last = _without_cascades(
        [found for found in candidates if later[id(found)] <= (found.outlasts if is_over else 0)]
    )
    best = min(last, key=_weight, default=None)
    if is_over and is_distributed and (best is None or best.weight > Weight.CAUSE):
        recent = [found for found in candidates if _is_recent(found, later[id(found)], best)]
        if recent:
            best = min(_without_cascades((*recent, *last)), key=_weight)
    if best is None:
        return None
    return _with_company(best, last)


def _is_recent(found: Explanation, steps: int, best: Explanation | None) -> bool:
    """Whether an explanation counts although other ranks printed `steps` more steps after it.

    A watchdog fires minutes after its cause. Until then the peers may print on. What would hold the
    run, exclude a device or go back has to be as near as without a watchdog.
    """
    is_timeout = best is None or best.weight >= Weight.TIMEOUT or best.failure in _PEERS_WORDS
    if is_timeout and found.is_unhandled and found.weight <= Weight.CAUSE and not found.is_grave:
        return steps <= _TIMEOUT_WAITS_STEPS
    return steps <= PEERS_GO_ON_STEPS and (
        found.weight <= Weight.CAUSE or (is_timeout and found.weight < Weight.TIMEOUT)
    )


def _of_the_last_life(
    candidates: Sequence[Explanation], lines: Sequence[str], steps: StepsAfter
) -> Sequence[Explanation]:
    """Leave out what was printed before torchrun started its workers again, if they train."""
    reborn = max((at for at, line in enumerate(lines) if _REBORN.search(line)), default=None)
    if reborn is None or not steps.shows_any_after(reborn):
        return candidates
    return [found for found in candidates if found.index > reborn]


def _without_cascades(found: Sequence[Explanation]) -> Sequence[Explanation]:
    """Leave out what follows from a watchdog: it aborts its rank, and its peers lose that rank."""
    first = min((one.index for one in found if one.weight is Weight.TIMEOUT), default=None)
    if first is None:
        return found
    return [one for one in found if one.index < first or not _follows_a_timeout(one)]


def _follows_a_timeout(found: Explanation) -> bool:
    """Whether it can be what a watchdog's timeout led to: a kill, or a peer that lost its rank."""
    if found.weight is Weight.DEATH:
        return found.failure in (Failure.KILLED, Failure.EXCEPTION)
    return found.weight is Weight.CONSEQUENCE and found.failure in _PEERS_WORDS


def _follows_a_task(found: Explanation, lines: Sequence[str]) -> bool:
    """Whether a step was cancelled because one of its tasks had ended."""
    if found.failure is not Failure.CANCELLED or found.weight is not Weight.WRAPPER:
        return False
    before = lines[max(found.index - _TASK_DIED_LINES, 0) : found.index]
    return any(_TASK_DIED.search(line) for line in before)


def _weight(found: Explanation) -> tuple[Weight, bool, int]:
    weight = found.weight
    if weight is Weight.DEATH:
        # A rank that died first, and the peers that lost it: whichever is told first came first.
        weight = Weight.CONSEQUENCE
    return weight, found.is_unsure, found.index


def _with_company(best: Explanation, others: Sequence[Explanation]) -> Explanation:
    """Add a traceback's frame and more evidence from other lines about the same failure."""
    same = [found for found in others if found.failure is best.failure and found is not best]
    evidence = list(best.evidence)
    for found in same[:_SAME_FAILURE_LINES]:
        evidence.extend(line for line in found.evidence if line not in evidence)
    if not best.is_traceback:
        traced = next((found for found in same if found.is_traceback), None)
        if traced is not None:
            best = replace(
                best,
                exception=traced.exception,
                frame=traced.frame,
                loads_checkpoint=traced.loads_checkpoint,
            )
    return replace(best, evidence=tuple(evidence))


def _without_quoted(candidates: Sequence[Explanation]) -> list[Explanation]:
    """Leave out a device's error where the process went on and died of something unrelated.

    A trainer whose data are kernel logs prints such lines as samples. Lines of the kernel log
    itself stay.
    """
    fatal = max(
        (
            found.index
            for found in candidates
            if found.is_traceback
            and found.weight <= Weight.CAUSE
            # An exception of this nature may itself come from a lost or broken device.
            and found.failure.nature is not Nature.DEVICES
        ),
        default=-1,
    )
    return [
        found
        for found in candidates
        if found.action is not Action.EXCLUDE
        or found.from_kernel
        or found.is_users
        or found.is_traceback
        or found.index > fatal
    ]


def _demote_handled(
    candidates: Sequence[Explanation], lines: Sequence[str], *, is_distributed: bool
) -> list[Explanation]:
    """Turn a `CAUSE` into a `MENTION` where its process survived it and died of a later traceback.

    It survived if it reported the problem, or logged on, or if an unknown exception was not above
    everything else and a later one was. Lines without a label count as one process
    only where no line speaks of several.
    """
    result, work = [], _LinesOfWork(lines)
    fatal_by_stream: dict[str, int] = {}
    last_unhandled: dict[str, int] = {}
    for other in candidates:
        if other.is_traceback and other.weight <= Weight.CAUSE:
            if other.is_unhandled:
                last_unhandled[other.stream] = max(
                    last_unhandled.get(other.stream, -1), other.index
                )
            last = fatal_by_stream.get(other.stream, -1)
            fatal_by_stream[other.stream] = max(last, other.index)
    for found in candidates:
        is_one_process = bool(found.stream) or not is_distributed
        if found.weight is Weight.CAUSE and is_one_process and not found.outlasts:
            fatal = fatal_by_stream.get(found.stream, -1)
            was_printed = found.failure is Failure.EXCEPTION and not found.is_unhandled
            is_first = was_printed and last_unhandled.get(found.stream, -1) > found.end
            if fatal > found.end and (
                found.is_reported or is_first or work.is_between(found.end + 1, fatal, found.stream)
            ):
                found = replace(found, weight=Weight.MENTION)
        result.append(found)
    return result


class _LinesOfWork:
    """The lines that show their writer at work, by the label of its process."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._at: dict[str, list[int]] | None = None

    def is_between(self, begin: int, end: int, stream: str) -> bool:
        """Whether process `stream` shows work in the lines from `begin` on and before `end`."""
        if self._at is None:
            self._at = {}
            prefixes = [prefix_of(line) for line in self._lines]
            # A collector stamps each line, those of tracebacks too: such a stamp tells nothing.
            counts = sum(prefix.is_stamped for prefix in prefixes) <= _STAMPED_MOST * len(prefixes)
            for index, prefix in enumerate(prefixes):
                if shows_going_on(prefix.body, is_stamped=prefix.is_stamped and counts):
                    self._at.setdefault(prefix.stream, []).append(index)
        known = self._at.get(stream, [])
        at = bisect.bisect_left(known, begin)
        return at < len(known) and known[at] < end

"""Which lines could say why an attempt died, and which of them is to be believed.

The rules and their order are in `diagnose`; this module must not know exit codes or signals.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from supervisor.diagnosis.device_patterns import DEVICE, NETWORK
from supervisor.diagnosis.failure import Action, Failure
from supervisor.diagnosis.host_patterns import MEMORY, SCHEDULER, STORAGE
from supervisor.diagnosis.log_line import (
    shows_going_on,
    split_prefix,
    tells_survival,
    without_hedge,
)
from supervisor.diagnosis.patterns import Pattern, Standing, first_match, scan
from supervisor.diagnosis.program_patterns import CASCADE, CONFIGURATION, DEATHS, OUTSIDE, TRAINING
from supervisor.diagnosis.python_traceback import Chain, exception_of, find_chains
from supervisor.diagnosis.survival import StepsAfter
from supervisor.diagnosis.xid import read_xid

TABLE: tuple[Pattern, ...] = (
    *NETWORK,
    *DEVICE,
    *SCHEDULER,
    *MEMORY,
    *STORAGE,
    *TRAINING,
    *CONFIGURATION,
    *OUTSIDE,
    *DEATHS,
    *CASCADE,
)
_AFTER_FIRST_STEP = tuple(row for row in TABLE if not row.only_before_first_step)

# How many steps the other ranks print before they notice that one has died.
PEERS_GO_ON_STEPS = 3
_SAME_FAILURE_LINES = 3

_NEGATED = re.compile(
    r"\b(?:no|not|without|never|avoid\w{0,4}|prevent\w{0,4}|against|0) (?:\w{1,20} )?['\"(]?$",
    re.IGNORECASE,
)
_SECONDARY = re.compile(
    r"^(?:Exception ignored|Error in atexit|Error in sys\.|--- Logging error"
    r"|Task exception was never|Exception in callback)"
)
_IN_THREAD = re.compile(r"^(?:Exception in thread|Thread )")
_REPORTED = re.compile(
    r"\b(?:WARN(?:ING)?|warn(?:ing)?)\b.{0,200}(?:fail|error|could not|unable)", re.I
)
_DISTRIBUTED = re.compile(
    r"local_rank|torchrun|torch\.distributed|\[rank ?\d|processgroup|\bnccl", re.I
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One explanation: where it begins and ends, how much its word counts, and what it says."""

    index: int
    end: int
    stream: str
    standing: Standing
    failure: Failure
    action: Action
    evidence: tuple[str, ...]
    exception: str | None = None
    frame: str | None = None
    full_disk_decides: bool = False
    outlasts: int = 0
    is_traceback: bool = False


def choose(lines: Sequence[str], *, first_step_seen: bool) -> Candidate | None:
    """The explanation to be believed among clean `lines`, oldest first; None if there is none."""
    table = _AFTER_FIRST_STEP if first_step_seen else TABLE
    chains = find_chains(lines)
    inside = frozenset[int]().union(*(chain.lines for chain in chains))
    candidates = [found for chain in chains if (found := _from_chain(chain, table)) is not None]
    candidates.extend(_from_lines(lines, table, inside))
    candidates.extend(_from_xids(lines))
    if not candidates:
        return None
    is_distributed = any(map(_DISTRIBUTED.search, lines)) or any(chain.stream for chain in chains)
    candidates = _demote_handled(candidates, lines, is_distributed=is_distributed)
    return _believe(
        candidates,
        StepsAfter(lines, min(found.index for found in candidates)),
        is_distributed=is_distributed,
    )


def _believe(
    candidates: Sequence[Candidate], steps: StepsAfter, *, is_distributed: bool
) -> Candidate | None:
    later = {id(found): steps.count(found.end) for found in candidates}
    last = [found for found in candidates if later[id(found)] <= found.outlasts]
    best = min(last, key=_weight, default=None)
    if best is None or best.standing > Standing.CAUSE:
        recent = [
            found
            for found in candidates
            if later[id(found)] <= PEERS_GO_ON_STEPS and found.standing <= Standing.CAUSE
        ]
        if is_distributed and recent:
            best = min(recent, key=_weight)
    if best is None:
        return None
    return _with_company(best, last)


def _weight(found: Candidate) -> tuple[Standing, int]:
    return found.standing, found.index


def _with_company(best: Candidate, others: Sequence[Candidate]) -> Candidate:
    """Add what other lines say of the same failure: the traceback's frame, more evidence."""
    same = [found for found in others if found.failure is best.failure and found is not best]
    evidence = list(best.evidence)
    for found in same[:_SAME_FAILURE_LINES]:
        evidence.extend(line for line in found.evidence if line not in evidence)
    if not best.is_traceback:
        traced = next((found for found in same if found.is_traceback), None)
        if traced is not None:
            best = replace(best, exception=traced.exception, frame=traced.frame)
    return replace(best, evidence=tuple(evidence))


def _from_chain(chain: Chain, table: Sequence[Pattern]) -> Candidate | None:
    """What a chain of exceptions says: its earliest known member, else its root."""
    known = []
    for order, raised in enumerate(chain.raised):
        hit = first_match(without_hedge(raised.line), table)
        for detail in raised.details if hit is None else ():
            hit = first_match(without_hedge(detail), table)
            if hit is not None and hit.pattern.standing <= Standing.CONSEQUENCE:
                break
            hit = None
        if hit is not None:
            row = hit.pattern
            # An import that failed and was handled is less than what then went wrong.
            known.append((row.standing, row.failure is Failure.CONFIGURATION, order, row))
    if known:
        standing, _, order, row = min(known, key=lambda entry: entry[:3])
        failure, action, raised = row.failure, row.action, chain.raised[order]
        decides, outlasts = row.full_disk_decides, row.outlasts
    else:
        standing, failure, action = Standing.CAUSE, Failure.EXCEPTION, Action.RESTART
        raised, decides, outlasts = chain.raised[0], False, 0
    if standing is Standing.CASCADE:
        return None
    if _SECONDARY.match(chain.lead) is not None:
        standing = Standing.MENTION
    elif _IN_THREAD.match(chain.lead) is not None and not known:
        standing = Standing.CONSEQUENCE
    elif standing is not Standing.STATED and _was_reported(chain.lead):
        standing = Standing.MENTION
    evidence = [raised.line]
    evidence.extend(line for line in (raised.frame_line, *raised.details[:3]) if line)
    if chain.raised[-1] is not raised:
        evidence.append(chain.raised[-1].line)
    return Candidate(
        chain.start,
        chain.end,
        chain.stream,
        standing,
        failure,
        action,
        tuple(evidence),
        raised.exception,
        raised.frame,
        decides,
        outlasts,
        is_traceback=True,
    )


def _was_reported(lead: str) -> bool:
    """Whether the line before a traceback is its writer's report of something that it outlived."""
    if _REPORTED.search(lead) is not None:
        return True
    return (
        tells_survival(lead) and re.search(r"fail|error|could not|unable", lead, re.I) is not None
    )


def _from_lines(
    lines: Sequence[str], table: Sequence[Pattern], inside: frozenset[int]
) -> list[Candidate]:
    """What single lines say, outside of tracebacks (whose source text says nothing)."""
    by_line: dict[int, Candidate] = {}
    for hit in scan(lines, table, _plain):
        row, text = hit.pattern, hit.text
        if hit.index in inside or hit.index in by_line:
            continue
        if row.standing is Standing.CASCADE or _NEGATED.search(text[: hit.start]) is not None:
            continue
        standing = row.standing
        if standing is not Standing.STATED and tells_survival(text):
            standing = Standing.MENTION
        by_line[hit.index] = Candidate(
            hit.index,
            hit.index,
            split_prefix(lines[hit.index]).stream,
            standing,
            row.failure,
            row.action,
            (lines[hit.index].strip(),),
            exception_of(text),
            None,
            row.full_disk_decides,
            row.outlasts,
        )
    return list(by_line.values())


def _plain(line: str) -> str:
    return without_hedge(split_prefix(line).body)


def _from_xids(lines: Sequence[str]) -> list[Candidate]:
    """What Xid lines of the kernel log say. Only an application's fault is not `STATED`."""
    found = []
    for index, line in enumerate(lines):
        meaning = read_xid(line) if "Xid" in line else None
        if meaning is None:
            continue
        is_stated = meaning.failure is not Failure.CUDA_FAULT
        standing = Standing.STATED if is_stated else Standing.CAUSE
        evidence = (line.strip(),)
        found.append(
            Candidate(
                index,
                index,
                "",
                standing,
                meaning.failure,
                meaning.action,
                evidence,
                outlasts=PEERS_GO_ON_STEPS,
            )
        )
    return found


def _demote_handled(
    candidates: Sequence[Candidate], lines: Sequence[str], *, is_distributed: bool
) -> list[Candidate]:
    """Make a mention of what its own process outlived: it logged on and died of something later.

    Lines without a label are one process only where nothing speaks of several.
    """
    result = []
    for found in candidates:
        is_one_process = bool(found.stream) or not is_distributed
        if found.standing is Standing.CAUSE and is_one_process and not found.outlasts:
            fatal = max(
                (
                    other.index
                    for other in candidates
                    if other.is_traceback
                    and other.stream == found.stream
                    and other.standing <= Standing.CAUSE
                ),
                default=-1,
            )
            if fatal > found.end and _goes_on(lines[found.end + 1 : fatal], found.stream):
                found = replace(found, standing=Standing.MENTION)
        result.append(found)
    return result


def _goes_on(lines: Sequence[str], stream: str) -> bool:
    for line in lines:
        prefix = split_prefix(line)
        if prefix.stream == stream and shows_going_on(prefix.body, is_stamped=prefix.is_stamped):
            return True
    return False

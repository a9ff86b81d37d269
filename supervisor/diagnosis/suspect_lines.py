"""Finds the lines that could say why an attempt died; `weighing` chooses among them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from supervisor.core.ending import PROGRAM_ERRORS
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.calls import (
    all_frames,
    is_network,
    is_upload,
    loads_checkpoint,
    reads_data,
)
from supervisor.diagnosis.device_patterns import DEVICE, NETWORK
from supervisor.diagnosis.host_patterns import MEMORY, SCHEDULER, STORAGE
from supervisor.diagnosis.log_line import (
    split_prefix,
    tells_survival,
    without_hedge,
)
from supervisor.diagnosis.network_patterns import OUTSIDE
from supervisor.diagnosis.patterns import Hit, LineWeight, Pattern, first_match, scan
from supervisor.diagnosis.program_patterns import (
    CASCADE,
    CONFIGURATION,
    DEATHS,
    FIRST_DEATH_HEADER,
    FIRST_DEATHS,
    TRAINING,
)
from supervisor.diagnosis.python_traceback import exception_of, find_chains
from supervisor.diagnosis.traceback_stream import Chain, Frame, Raised
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

_NEGATED = re.compile(
    r"\b(?:no|not|without|never|avoid\w{0,4}|prevent\w{0,4}|against) (?:\w{1,20} )?['\"(]?$",
    re.IGNORECASE,
)
_SECONDARY = re.compile(
    r"^(?:Exception ignored|Error in atexit|Error in sys\.|--- Logging error"
    r"|Task exception was never|Exception in callback)"
)
_EXIT_CODE = re.compile(r"\bexitcode {1,3}: (-?\d{1,3})\b")
_TABLE_LINES = 8
_IN_THREAD = re.compile(r"^(?:Exception in thread|Thread )")
# Errors that no waiting mends: the address is wrong, or nothing is there.
_ASKED_WRONGLY = re.compile(r"\b40[045]\b|invalid|missing|not found", re.IGNORECASE)
_REPORTED = re.compile(
    r"\b(?:WARN(?:ING)?|warn(?:ing)?)\b.{0,200}(?:fail|error|could not|unable)", re.I
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One explanation: its first and last line, its weight, its failure and its evidence."""

    index: int
    end: int
    stream: str
    standing: LineWeight
    failure: Failure
    action: Action
    evidence: tuple[str, ...]
    exception: str | None = None
    frame: str | None = None
    full_disk_decides: bool = False
    outlasts: int = 0
    is_traceback: bool = False
    is_reported: bool = False
    loads_checkpoint: bool | None = None
    """Whether its calls were loading a checkpoint; None where no calls are known."""
    names_killer: bool = False
    from_kernel: bool = False


def may_tell_of_a_start(lines: Sequence[str]) -> bool:
    """Whether the lines contain a needle of a row that counts only before the first step."""
    text = "\n".join(lines).lower()
    return any(
        needle in text for row in TABLE if row.only_before_first_step for needle in row.needles
    )


def find_candidates(lines: Sequence[str], *, first_step_seen: bool) -> list[Explanation]:
    """All explanations that clean `lines`, oldest first, give for an end."""
    table = _AFTER_FIRST_STEP if first_step_seen else TABLE
    chains = find_chains(lines)
    inside = frozenset[int]().union(*(chain.lines for chain in chains))
    candidates = [found for chain in chains if (found := _from_chain(chain, table)) is not None]
    candidates.extend(_from_lines(lines, table, inside))
    candidates.extend(_from_xids(lines))
    candidates.extend(_from_torchrun(lines))
    return candidates


def _from_chain(chain: Chain, table: Sequence[Pattern]) -> Explanation | None:
    """The explanation of a chain: its weightiest known exception, then the earliest, else its root.

    None where that exception is a `CASCADE`.
    """
    known = []
    frames = all_frames(chain)
    loads = loads_checkpoint(frames) if frames else None
    for order, raised in enumerate(chain.raised):
        row = _known_row(raised, table)
        if row is not None and not _is_refuted(row, raised, frames, loads):
            # A wrong configuration comes last: a failed import may have been handled before another
            # exception was raised.
            known.append((row.standing, row.failure is Failure.CONFIGURATION, order, row))
    if known:
        standing, _, order, row = min(known, key=lambda entry: entry[:3])
        failure, action, raised = row.failure, row.action, chain.raised[order]
        decides, outlasts = row.full_disk_decides, row.outlasts
    else:
        standing, failure = LineWeight.CAUSE, Failure.EXCEPTION
        action = Action.BACKOFF if _is_outside(chain, frames) else Action.RESTART
        raised, decides, outlasts = chain.raised[0], False, 0
    if failure is Failure.EXCEPTION and _is_within_machine(raised):
        action = Action.RESTART
    if standing is LineWeight.CASCADE:
        return None
    if _SECONDARY.match(chain.lead) is not None:
        standing = LineWeight.MENTION
    elif _IN_THREAD.match(chain.lead) is not None and not known:
        standing = LineWeight.CONSEQUENCE
    evidence = [raised.line]
    evidence.extend(line for line in (raised.frame_line, *raised.details[:3]) if line)
    if chain.raised[-1] is not raised:
        evidence.append(chain.raised[-1].line)
    return Explanation(
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
        is_reported=_was_reported(chain.lead),
        loads_checkpoint=loads,
    )


def _known_row(raised: Raised, table: Sequence[Pattern]) -> Pattern | None:
    """The row that matches an exception's line, else the first that matches a line below it."""
    hit = first_match(without_hedge(raised.line), table)
    for detail in raised.details if hit is None else ():
        hit = first_match(without_hedge(detail), table)
        if hit is not None and _is_meant(hit):
            break
        hit = None
    return None if hit is None else hit.pattern


def _is_refuted(row: Pattern, raised: Raised, frames: Sequence[Frame], loads: bool | None) -> bool:
    """Whether the calls show that the unreadable file was no checkpoint.

    A pickle that ends early is as often a data set's cache, or a pipe of another process.
    """
    if row.failure is not Failure.CHECKPOINT_CORRUPT or loads is not False:
        return False
    return reads_data(frames) or raised.exception.endswith("EOFError")


def _is_outside(chain: Chain, frames: Sequence[Frame]) -> bool:
    """Whether an unknown exception came from an upload or from the network."""
    root = chain.raised[0]
    if root.exception.rpartition(".")[2] in PROGRAM_ERRORS or _ASKED_WRONGLY.search(root.line):
        return False
    return is_upload(frames) or is_network(root.frames)


def _is_within_machine(raised: Raised) -> bool:
    """Whether the exception is about another process of this machine, such as a dead worker."""
    return bool(raised.frames) and "/multiprocessing/" in raised.frames[-1].path


def _was_reported(lead: str) -> bool:
    """Whether the line before a traceback reports it as a problem that the writer survived."""
    if _REPORTED.search(lead) is not None:
        return True
    return (
        tells_survival(lead) and re.search(r"fail|error|could not|unable", lead, re.I) is not None
    )


def _from_lines(
    lines: Sequence[str], table: Sequence[Pattern], inside: frozenset[int]
) -> list[Explanation]:
    """The explanations of single lines. Lines of tracebacks are left out: they hold source text."""
    by_line: dict[int, Explanation] = {}
    for hit in scan(lines, table, _plain):
        row, text = hit.pattern, hit.text
        if hit.index in inside or hit.index in by_line:
            continue
        if row.standing is LineWeight.CASCADE or _NEGATED.search(text[: hit.start]) is not None:
            continue
        standing = row.standing
        if standing is not LineWeight.STATED and tells_survival(text):
            standing = LineWeight.MENTION
        by_line[hit.index] = Explanation(
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
            names_killer=row.names_killer,
        )
    return list(by_line.values())


def _is_meant(hit: Hit) -> bool:
    """Whether a line below an exception belongs to its message, and reports nothing survived."""
    if hit.pattern.standing > LineWeight.CONSEQUENCE or tells_survival(hit.text):
        return False
    return _NEGATED.search(hit.text[: hit.start]) is None


def _plain(line: str) -> str:
    return without_hedge(split_prefix(line).body)


def _from_torchrun(lines: Sequence[str]) -> list[Explanation]:
    """How the rank ended that torchrun's table lists as the first to fail."""
    found = []
    for header, line in enumerate(lines):
        if FIRST_DEATH_HEADER not in line:
            continue
        for index in range(header + 1, min(header + _TABLE_LINES, len(lines))):
            code = _EXIT_CODE.search(lines[index])
            known = FIRST_DEATHS.get(int(code[1])) if code is not None else None
            if known is not None:
                said = (lines[index].strip(),)
                found.append(Explanation(index, index, "", LineWeight.FIRST_DEATH, *known, said))
    return found


def _from_xids(lines: Sequence[str]) -> list[Explanation]:
    """What Xid lines of the kernel log say: `STATED`, but an application's fault is a `CAUSE`."""
    found = []
    for index, line in enumerate(lines):
        meaning = read_xid(line) if "Xid" in line else None
        if meaning is None:
            continue
        is_stated = meaning.failure is not Failure.CUDA_FAULT
        standing = LineWeight.STATED if is_stated else LineWeight.CAUSE
        evidence = (line.strip(),)
        found.append(
            Explanation(
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

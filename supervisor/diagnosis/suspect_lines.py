"""Finds the lines that could say why an attempt died; `weighing` chooses among them."""

import re
from collections.abc import Sequence
from dataclasses import replace

from supervisor.core.vocabulary import Failure
from supervisor.diagnosis.explanation import PEERS_GO_ON_STEPS, Explanation
from supervisor.diagnosis.line_memo import prefix_of
from supervisor.diagnosis.log_line import plain_text, tells_survival
from supervisor.diagnosis.python_traceback import exception_of, find_chains
from supervisor.diagnosis.rules.deaths import FIRST_DEATH_HEADER, FIRST_DEATHS
from supervisor.diagnosis.rules.rule import Calls, Hit, Weight, scan
from supervisor.diagnosis.rules.table import AFTER_FIRST_STEP, TABLE
from supervisor.diagnosis.traceback_causes import NEGATED, explain_chain
from supervisor.diagnosis.user_rules import NO_RULES, UserRules
from supervisor.diagnosis.voice import Voice, voice_of
from supervisor.diagnosis.xid import read_xid

_EXIT_CODE = re.compile(r"\bexitcode {1,3}: (-?\d{1,3})\b")
_TABLE_LINES = 8
# Rules that ask for these calls say nothing of a line without a traceback.
_OF_TRACEBACKS = (Calls.LOADING, Calls.READING, Calls.NOT_READING, Calls.CHECKING)
# glog's warnings and notes, as PyTorch prints them: `[W1012 03:11:10.118 socket.cpp:755]`.
_WARNED = re.compile(r"\[[WI]\d{0,4} ")


def may_tell_of_a_start(lines: Sequence[str]) -> bool:
    """Whether the lines contain a needle of a rule that counts only before the first step."""
    text = "\n".join(lines).lower()
    return any(
        needle in text for row in TABLE if row.only_before_first_step for needle in row.needles
    )


def find_candidates(
    lines: Sequence[str],
    first_step: int,
    *,
    as_at_start: bool = False,
    rules: UserRules = NO_RULES,
) -> list[Explanation]:
    """All explanations that clean `lines`, oldest first, give for an end.

    `first_step`: the number of the line from which on training had made a step. `as_at_start`: the
    rules that count only before the first step are asked after it, too. `rules`: the user's own.
    """
    chains = find_chains(lines)
    inside = frozenset[int]().union(*(chain.lines for chain in chains))
    candidates = []
    for chain in chains:
        is_late = chain.start >= first_step
        table = AFTER_FIRST_STEP if is_late and not as_at_start else TABLE
        found = explain_chain(chain, table, first_step_seen=is_late, rules=rules)
        if found is not None:
            candidates.append(found)
    users = _from_user_rules(lines, inside, first_step, rules)
    candidates.extend(users)
    inside |= {found.index for found in users}
    candidates.extend(_from_lines(lines, inside, first_step, as_at_start=as_at_start))
    candidates.extend(_from_xids(lines))
    candidates.extend(_from_torchrun(lines))
    return candidates


def _from_lines(
    lines: Sequence[str], inside: frozenset[int], first_step: int, *, as_at_start: bool
) -> list[Explanation]:
    """The explanations of single lines. Lines of tracebacks are left out: they hold source text."""
    by_line: dict[int, Explanation] = {}
    cascades: set[int] = set()  # no general rule may take such a line either
    for hit in scan(lines, TABLE, plain_text):
        if hit.rule.weight is Weight.CASCADE and hit.index not in by_line:
            cascades.add(hit.index)
        if hit.index in inside or hit.index in cascades or hit.index in by_line:
            continue
        if not _counts(hit):
            continue
        is_late = hit.index >= first_step
        if is_late and hit.rule.only_before_first_step and not as_at_start:
            continue
        voice = voice_of(hit.text, hit.start)
        if voice is Voice.QUOTED:
            continue
        found = _of_line(hit, lines[hit.index], first_step_seen=is_late)
        by_line[hit.index] = replace(found, is_unsure=voice is Voice.UNSURE)
    return list(by_line.values())


def _from_user_rules(
    lines: Sequence[str], inside: frozenset[int], first_step: int, rules: UserRules
) -> list[Explanation]:
    """The explanations by the user's own rules, which are taken at their word.

    They name lines of the user's own trainer: who speaks, and how, is not asked.
    """
    by_line: dict[int, Explanation] = {}
    for hit in rules.scan(lines, plain_text):
        if hit.index not in inside and hit.index not in by_line:
            is_late = hit.index >= first_step
            found = _of_line(hit, lines[hit.index], first_step_seen=is_late)
            by_line[hit.index] = replace(found, weight=hit.rule.weight, is_users=True)
    return list(by_line.values())


def _counts(hit: Hit) -> bool:
    row, text = hit.rule, hit.text
    if row.weight is Weight.CASCADE or NEGATED.search(text[: hit.start]) is not None:
        return False
    if row.only_unhandled or row.calls in _OF_TRACEBACKS:
        return False  # no calls are known
    return not row.only_raised or exception_of(text) is not None


def _of_line(hit: Hit, line: str, *, first_step_seen: bool) -> Explanation:
    row, text = hit.rule, hit.text
    weight = row.weight
    is_warned = tells_survival(text) or _WARNED.search(line, 0, 60) is not None
    if weight is not Weight.STATED and is_warned:
        weight = Weight.MENTION
    return Explanation(
        hit.index,
        hit.index,
        prefix_of(line).stream,
        weight,
        row.failure,
        row.action_now(first_step_seen=first_step_seen),
        (line.strip(),),
        exception_of(text),
        None,
        row.advice,
        row.full_disk_decides,
        row.outlasts,
        names_killer=row.names_killer,
    )


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
                found.append(Explanation(index, index, "", Weight.FIRST_DEATH, *known, said))
    return found


def _from_xids(lines: Sequence[str]) -> list[Explanation]:
    """What Xid lines of the kernel log say: `STATED`, but an application's fault is a `CAUSE`."""
    found = []
    for index, line in enumerate(lines):
        meaning = read_xid(line) if "Xid" in line else None
        if meaning is None or voice_of(line, line.find("NVRM")) is Voice.QUOTED:
            continue
        is_stated = meaning.failure is not Failure.CUDA_FAULT
        found.append(
            Explanation(
                index,
                index,
                "",
                Weight.STATED if is_stated else Weight.CAUSE,
                meaning.failure,
                meaning.action,
                (line.strip(),),
                outlasts=PEERS_GO_ON_STEPS,
            )
        )
    return found

"""The decision: from an attempt's ending to a failure, an action and the lines that say so.

It reads no file, no clock and no process: all it knows is in the `ExitEvidence`. It never raises.

The exit is asked first. A printed line explains a SIGKILL only where it says who sent the signal:
the kernel's log, or the scheduler. A trainer may print anything as a sample, and die of another
cause. Two ends are a launcher's own, and any cause may explain them: exit code 143 of a launcher
that ended its ranks, and the SIGKILL with which Lightning ends its group.

Then the lines are weighed by these rules, in this order:

1. A line counts only if training did not go on after it: later step lines refute it. Lines of the
   scheduler and the hardware outlast some steps. A save that failed an hour ago killed nobody.
2. The weights of `Weight` decide. The machine's own word (`STATED`) beats all. A process's word
   about its own failure (`CAUSE`) comes next. Then come how the first rank died (`FIRST_DEATH`)
   and, as equals, what its peers see (`CONSEQUENCE`) and how anything died (`DEATH`). A watchdog's
   timeout (`TIMEOUT`), an abort (`ABORT`) and a launcher's exception (`WRAPPER`) follow from
   something else. Warnings and retries (`MENTION`) explain nothing. `CASCADE` never counts.
3. Among equals the earliest line wins. Within a chained traceback the root wins, unless only a
   later exception is known. A process that logged on after a traceback has handled it: then its
   later traceback wins.
4. If rule 1 leaves no cause in a run of several ranks, a cause up to three steps back counts. Other
   ranks print a few more steps before they notice. An unhandled traceback counts up to 50 steps
   back, if nothing but a watchdog's timeout comes later and the action is not grave.
5. Words amid other text may be quoted: they hold nothing, exclude nothing and take nothing back.
6. If no line explains the end, the signal or the exit code decides alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from signal import Signals

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.ending_codes import (
    ExitMeaning,
    from_code,
    from_signal,
    signal_of,
    start_failure,
)
from supervisor.diagnosis.exit_evidence import agrees
from supervisor.diagnosis.explanation import Explanation
from supervisor.diagnosis.failure import Diagnosis, ExitEvidence
from supervisor.diagnosis.line_memo import forget, step_of
from supervisor.diagnosis.log_line import clean, plain_text, tells_survival
from supervisor.diagnosis.python_traceback import exception_of
from supervisor.diagnosis.rules.advice import ADVICE
from supervisor.diagnosis.rules.rule import Weight
from supervisor.diagnosis.suspect_lines import may_tell_of_a_start
from supervisor.diagnosis.user_rules import NO_RULES, UserRules
from supervisor.diagnosis.weighing import choose

EVIDENCE_LINES_MAX = 8
EVIDENCE_CHARS_MAX = 500
LINES_MAX = 5000
# With less than this a disk is full, since no checkpoint fits. EIO with more free space means a
# broken file system.
FULL_DISK_BYTES = 64 * 1024 * 1024
# With less than this free, a full disk may be why the log says nothing.
NO_LINE_BYTES = 64 * 1024

_KILLS_ALL = "Forcefully terminating all other processes"
_LAST_LINES = 300
_LAST_WORDS = 12
_MEMORY_VICTIMS = (Failure.KILLED, Failure.DATALOADER_WORKER_DIED, Failure.UNKNOWN)


def diagnose(ending: ExitEvidence, rules: UserRules = NO_RULES) -> Diagnosis:
    """Why the attempt ended and what to do. Takes 45 to 120 ms for a window of lines.

    `rules`: the user's own, tried before the built-in ones. It never raises.
    """
    try:
        return _diagnose(ending, rules)
    finally:
        forget()


def _diagnose(ending: ExitEvidence, rules: UserRules) -> Diagnosis:
    rules.begin()
    if ending.start_errno is not None:
        return _plain(start_failure(ending.start_errno), ())
    if ending.signal is None:
        outcome = from_code(ending.code)
        if outcome is not None:
            return _plain(outcome, ())
    signal = signal_of(ending.code, ending.signal)
    kernel, printed = _clean(ending.kernel_lines), _clean(ending.lines)
    candidate = _choose(kernel, printed, ending, signal, rules)
    if _was_killed_for_memory(ending, candidate, signal):
        return _out_of_memory(ending, candidate)
    if candidate is not None and _explains(signal, candidate):
        return _from_candidate(ending, candidate)
    if signal is not None:
        return _plain(from_signal(signal), candidate.evidence if candidate else ())
    if ending.code in (126, 127) and not ending.first_step_seen:
        said = (
            "the command cannot be executed" if ending.code == 126 else "the command is not found"
        )
        outcome = ExitMeaning(
            Failure.CONFIGURATION, Action.HOLD, f"{said} (exit code {ending.code})"
        )
        return _plain(outcome, ())
    if ending.first_step_seen and may_tell_of_a_start([*kernel, *printed]):
        # A line that means a wrong configuration at the start means an exception after the first
        # step, like any other.
        candidate = _choose(kernel, printed, ending, signal, rules, as_at_start=True)
        if candidate is not None and candidate.failure is Failure.CONFIGURATION:
            late = replace(candidate, failure=Failure.EXCEPTION, action=Action.RESTART)
            return _from_candidate(ending, late)
    if ending.code:
        last = _last_exception(printed)
        if last is not None:
            return _plain(ExitMeaning(Failure.EXCEPTION, Action.RESTART, last), (last,))
    said = "its exit is not known" if ending.code is None else f"it exited with code {ending.code}"
    if ending.code and ending.free_bytes is not None and ending.free_bytes < NO_LINE_BYTES:
        # The full disk has also swallowed the trainer's last words.
        reason = f"{said}, its log names no cause, and no disk space is left for checkpoints"
        return _plain(ExitMeaning(Failure.DISK_FULL, Action.HOLD, reason), ())
    reason = f"{said} and its log names no cause"
    return _plain(ExitMeaning(Failure.UNKNOWN, Action.RESTART, reason), ())


def _choose(
    kernel: list[str],
    printed: list[str],
    ending: ExitEvidence,
    signal: int | None,
    rules: UserRules,
    *,
    as_at_start: bool = False,
) -> Explanation | None:
    is_known = ending.code is not None or signal is not None

    def is_possible(found: Explanation) -> bool:
        if found.weight is Weight.MENTION:
            # Its writer survived it. Only if nothing else is known, a traceback may tell.
            return found.is_traceback and is_known and not found.is_grave
        if found.is_unsure and (not is_known or found.is_grave):
            # The words may be a sample's. Nothing is held, excluded or rolled back for them.
            return False
        return _allows(ending, signal, found) and not _is_a_strangers(ending, signal, found)

    return choose(
        [*kernel, *printed],
        first_step=_first_step(ending, printed, len(kernel)),
        kernel=len(kernel),
        is_possible=is_possible,
        is_over=is_known,
        as_at_start=as_at_start,
        rules=rules,
    )


def _allows(ending: ExitEvidence, signal: int | None, found: Explanation) -> bool:
    """Whether the exit leaves an explanation possible.

    A launcher that ends its ranks by SIGTERM exits with 143 itself, whatever the first died of.
    """
    is_launchers = ending.signal is None and signal == Signals.SIGTERM
    # Lightning kills its whole group, itself too, once one of its processes has failed.
    is_launchers = is_launchers or any(_KILLS_ALL in line for line in ending.lines[-_LAST_LINES:])
    if is_launchers and found.weight <= Weight.CONSEQUENCE:
        return True
    return agrees(signal, found)


def _is_a_strangers(ending: ExitEvidence, signal: int | None, found: Explanation) -> bool:
    """Whether the kernel's log tells of a process that was killed for memory elsewhere.

    That log is the whole machine's. A kill within the run's own cgroup counts there.
    """
    if not found.from_kernel or found.failure is not Failure.HOST_OUT_OF_MEMORY:
        return False
    if ending.oom_kill_delta is not None:
        return ending.oom_kill_delta <= 0
    return signal is None or from_signal(signal).failure is not Failure.KILLED


def _first_step(ending: ExitEvidence, printed: Sequence[str], offset: int) -> int:
    """The number of the line from which on training had made a step: 0 if none is known.

    A rank may die at its start while its peers print their first steps. The lines tell, if they
    reach back to the attempt's beginning and no heartbeat told of a step.
    """
    if not ending.first_step_seen:
        return offset + len(printed)
    if not ending.lines_from_start:
        return 0
    marks = (step_of(line) for line in printed)
    return next((offset + at for at, mark in enumerate(marks) if mark is not None), 0)


def _clean(given: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for line in given[-LINES_MAX:]:
        if "\r" in line or "\n" in line:
            pieces = line.replace("\r", "\n").split("\n")
            lines.extend(clean(piece) for piece in pieces[-LINES_MAX:] if piece)
        else:
            lines.append(clean(line))
    return lines[-LINES_MAX:]


def _explains(signal: int | None, candidate: Explanation) -> bool:
    """Whether a line explains the ending better than the exit does."""
    if signal is None or candidate.from_kernel or candidate.names_killer:
        return True
    if signal in (Signals.SIGTERM, Signals.SIGKILL) and candidate.weight <= Weight.CONSEQUENCE:
        return True  # only a launcher's own end lets such a candidate through
    name = from_signal(signal).failure
    # NCCL's watchdog and C++ exceptions abort a process after it has printed why.
    explains_more = name in (Failure.ABORTED, Failure.UNKNOWN)
    return candidate.weight <= (Weight.TIMEOUT if explains_more else Weight.CAUSE)


def _was_killed_for_memory(
    ending: ExitEvidence, candidate: Explanation | None, signal: int | None
) -> bool:
    if not ending.oom_kill_delta or ending.oom_kill_delta < 0:
        return False
    if signal is not None:
        return from_signal(signal).failure is Failure.KILLED
    if candidate is None or candidate.weight >= Weight.DEATH:
        return True
    # The line tells of a worker or a peer that vanished. The kernel's counter says why.
    return candidate.failure in _MEMORY_VICTIMS or candidate.weight >= Weight.CONSEQUENCE


def _out_of_memory(ending: ExitEvidence, candidate: Explanation | None) -> Diagnosis:
    kills = ending.oom_kill_delta
    fact = f"the cgroup's oom_kill counter rose by {kills}"
    evidence = (fact, *(candidate.evidence if candidate is not None else ()))
    reason = f"the kernel killed {kills} of its processes for want of memory"
    return _plain(ExitMeaning(Failure.HOST_OUT_OF_MEMORY, Action.RESTART, reason), evidence)


def _from_candidate(ending: ExitEvidence, candidate: Explanation) -> Diagnosis:
    failure, action = candidate.failure, candidate.action
    evidence = candidate.evidence
    if candidate.full_disk_decides and ending.free_bytes is not None:
        evidence = (*evidence, f"{ending.free_bytes} bytes were free")
        if ending.free_bytes < FULL_DISK_BYTES:
            failure, action = Failure.DISK_FULL, Action.HOLD
    said = evidence[0].strip() if evidence else failure.value
    where = f" in {candidate.frame}" if candidate.frame else ""
    return Diagnosis(
        failure,
        action,
        candidate.exception,
        candidate.frame,
        _bounded(evidence),
        f"{failure.value.replace('_', ' ')}{where}: {said[:200]}",
        candidate.loads_checkpoint,
        _advice(failure, candidate.advice if failure is candidate.failure else None),
    )


def _plain(outcome: ExitMeaning, evidence: tuple[str, ...]) -> Diagnosis:
    bounded = _bounded(evidence)
    return Diagnosis(
        outcome.failure,
        outcome.action,
        None,
        None,
        bounded,
        outcome.reason,
        advice=_advice(outcome.failure, None),
    )


def _advice(failure: Failure, closer: Advice | None) -> Advice | None:
    """The rule's own advice, or that for the failure."""
    return closer or ADVICE.get(failure)


def _last_exception(lines: Sequence[str]) -> str | None:
    """The last of the last lines that an exception begins, although no traceback is there."""
    for line in reversed(lines[-_LAST_WORDS:]):
        text = plain_text(line).strip()
        if step_of(line) is not None or tells_survival(text):
            return None
        name = exception_of(text)
        if name is not None and ": " in text and not name.endswith("SignalException"):
            return text[:EVIDENCE_CHARS_MAX]
    return None


def _bounded(evidence: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(line[:EVIDENCE_CHARS_MAX] for line in evidence[:EVIDENCE_LINES_MAX])

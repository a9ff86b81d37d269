"""Makes the core's `Ending` from an exit report and the evidence that the attempt left."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from supervisor.checkpoint.own_record import read_own_record
from supervisor.core.ending import Ending, LastWords
from supervisor.core.states import State
from supervisor.core.vocabulary import Action, ExitCode, Failure
from supervisor.daemon.look.printed_log import PrintedLog
from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.evidence import free_bytes, read_oom_kills
from supervisor.diagnosis.failure import Diagnosis, ExitEvidence
from supervisor.diagnosis.full_disk import place_of
from supervisor.diagnosis.kernel_log import KernelLog
from supervisor.diagnosis.last_words import Unhandled, find_unhandled
from supervisor.diagnosis.line_prefix import split_prefix
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.log_window import LogWindow
from supervisor.diagnosis.python_traceback import exception_of
from supervisor.diagnosis.step_line import read_step
from supervisor.diagnosis.steps_after import shows_steps
from supervisor.diagnosis.user_rules import NO_RULES, UserRules
from supervisor.launcher.messages import ExitedReport
from supervisor.system.clock import monotonic_s, wall_s
from supervisor.worker.page import Outcome, Page

WORDS_CHARS = 200
SILENT_START_S = 600.0


class AttemptFacts:
    """Readings from the beginning of the attempt, to compare with its end."""

    def __init__(
        self, attempt: int, printed: PrintedLog, now: float, kernel_log: KernelLog
    ) -> None:
        self.attempt = attempt
        self.started_at = now
        self.oom_kills = read_oom_kills()
        self._printed = printed
        self._kernel_log = kernel_log

    def window(self) -> LogWindow:
        """The attempt's own lines that matter at its end: bounded, however much it printed."""
        try:
            return self._printed.window()
        except OSError:
            return LogWindow((), None)

    def kernel_lines(self) -> tuple[str, ...]:
        """What the kernel wrote about devices, memory and disks since the attempt began."""
        return self._kernel_log.since(self.started_at)

    def started_wall(self) -> float:
        """When it began, seconds since 1970, by the clock as it is set now."""
        return wall_s() - (monotonic_s() - self.started_at)

    def oom_kill_delta(self) -> int | None:
        """How many processes the kernel killed for memory since the attempt began."""
        now = read_oom_kills()
        if now is None or self.oom_kills is None:
            return None
        return now - self.oom_kills


@dataclass(frozen=True, slots=True)
class SeenEnd:
    """How an attempt was seen to end, at `monotonic`; None is not known.

    `is_unseen`: other processes trained in place of the main one, and nobody saw how they ended.
    """

    code: int | None
    signal: int | None
    monotonic: float
    oom_kills: int | None = None
    is_unseen: bool = False

    @classmethod
    def of(cls, report: ExitedReport) -> "SeenEnd":
        """The main process's end, as the launcher reports it."""
        return cls(report.code, report.signal, report.monotonic, report.oom_kills)


def judged_end(end: SeenEnd, state: State) -> SeenEnd:
    """The end, without code and signal where the daemon itself killed the main process.

    Such a code says nothing: the ranks had ended before, or had said how they end. After a hang or
    a stop the code stays, and the core judges it.
    """
    kill = state.kill
    is_ours = kill is not None and kill.failure is None and state.stop is None
    return replace(end, code=None, signal=None) if is_ours else end


def agreed_outcome(pages: Sequence[Page], *, has_failed: bool) -> Outcome | None:
    """The outcome that all ranks agree on; None where they differ or a rank has told none.

    `has_failed`: the main process failed. Then the success of a process that attached second does
    not count. It may be an evaluation's: the training after it died before its first step.
    """
    outcomes = [page.outcome for page in pages]
    if not outcomes or any(outcome is None for outcome in outcomes):
        return None
    first = outcomes[0]
    assert first is not None
    agree = all(outcome is not None and outcome.code == first.code for outcome in outcomes)
    if has_failed and first.code == 0 and any(page.is_second for page in pages):
        return None
    return first if agree else None


def logged_steps(lines: Sequence[str]) -> tuple[int, int] | None:
    """The first and last step that the lines show; None where they show none, or go back.

    Numbers that go back count something else: batches of an epoch, steps of several ranks.
    """
    marks = [read_step(split_prefix(clean(line)).body) for line in lines]
    steps = [mark.number for mark in marks if mark is not None and mark.kind == "step"]
    return (steps[0], steps[-1]) if steps and steps == sorted(steps) else None


def vanished_ranks(pages: Sequence[Page], main_pid: int | None) -> str | None:
    """The ranks as text, if every one of them ended without saying how; else None.

    None too where the main process is a rank: its exit code tells. None for workers of earlier
    versions, which never say that they end in order.
    """
    ranks = [page for page in pages if page.is_begun]
    for page in ranks:
        is_told = page.outcome is not None or page.has_ended_in_order or not page.tells_its_end
        if is_told or page.pid == main_pid:
            return None
    return ", ".join(f"rank {page.rank} (pid {page.pid})" for page in ranks[:4]) or None


def ending_of(
    end: SeenEnd,
    facts: AttemptFacts,
    pages: Sequence[Page],
    *,
    step: int | None,
    finish_file: Path | None,
    checkpoint_directory: Path,
    is_python: bool,
    main_pid: int | None = None,
    rules: UserRules = NO_RULES,
) -> Ending:
    """All that is known of the end of an attempt, with its diagnosis.

    `is_python`: the main process is the Python that trains, so the exit code is the trainer's own.
    `rules`: the user's.
    """
    has_failed = end.signal is not None or bool(end.code)
    outcome = agreed_outcome(pages, has_failed=has_failed)
    window = facts.window()
    lines = window.lines
    has_beaten = any(page.beats > 0 for page in pages)
    first_step = has_beaten or step is not None
    # A command that does not attach shows in its output that it trains, whatever the pattern.
    first_step = first_step or shows_steps([clean(line) for line in lines])
    if outcome is not None and outcome.step is not None:
        step = outcome.step
    evidence = ExitEvidence(
        code=outcome.code if outcome is not None else end.code,
        signal=None if outcome is not None else end.signal,
        lines=lines,
        first_step_seen=first_step or _may_have_trained(end, facts, pages),
        step=step,
        lines_from_start=window.from_start and first_step and not has_beaten,
        # An attempt with its own cgroup: the daemon's cgroup does not count the kills in there.
        oom_kill_delta=facts.oom_kill_delta() if end.oom_kills is None else end.oom_kills,
        free_bytes=free_bytes(checkpoint_directory),
        kernel_lines=facts.kernel_lines(),
    )
    found = diagnose(evidence, rules)
    last_words, record = None, None
    if evidence.code == 0 and evidence.signal is None and outcome is None:
        # Whether to believe exit code 0: the log's end and the trainer's own record are asked.
        unhandled = find_unhandled(evidence.lines, has_begun=first_step or step is not None)
        if unhandled is not None:
            found = _diagnosis_of(unhandled, evidence, rules)
            last_words = LastWords(unhandled.words, unhandled.is_certain and not is_python)
    is_its_own_end = evidence.signal is None and outcome is None
    if is_its_own_end and (evidence.code == 0 or found.exception is not None):
        record = read_own_record(checkpoint_directory, facts.started_wall())
    reason = found.reason
    if evidence.code == ExitCode.CONFIGURATION and evidence.lines:
        # The last line says what is wrong with the configuration: the user has to read it.
        reason = f"{reason}: {clean(evidence.lines[-1])[:200]}"
    return Ending(
        attempt=facts.attempt,
        code=end.code,
        signal=end.signal,
        outcome_code=outcome.code if outcome is not None else None,
        failure=found.failure,
        action=found.action,
        reason=reason,
        exception=found.exception,
        frame=found.frame,
        evidence=found.evidence,
        advice=found.advice,
        step=step,
        first_step_seen=first_step,
        attached=bool(pages),
        finish_met=finish_file.exists() if finish_file is not None else None,
        logged=logged_steps(evidence.lines) if step is None else None,
        end_unseen=end.is_unseen,
        last_words=last_words,
        record=record,
        vanished=None if end.is_unseen else vanished_ranks(pages, main_pid),
        loads_checkpoint=found.loads_checkpoint,
        full_place=_full_place(found),
        told_checkpoint=_told_checkpoint(outcome, pages),
    )


def _may_have_trained(end: SeenEnd, facts: AttemptFacts, pages: Sequence[Page]) -> bool:
    """Whether a command that shows no steps has run so long that it may have made some.

    Then no line is taken for a wrong configuration: a false hold costs more than a restart.
    """
    return not pages and end.monotonic - facts.started_at > SILENT_START_S


def _diagnosis_of(unhandled: Unhandled, evidence: ExitEvidence, rules: UserRules) -> Diagnosis:
    """The diagnosis of an unhandled traceback behind an exit code of 0."""
    found = diagnose(replace(evidence, code=unhandled.code), rules)
    if found.failure is not Failure.UNKNOWN:
        return found
    line = unhandled.line[:WORDS_CHARS]
    exception = exception_of(line)
    return Diagnosis(
        Failure.EXCEPTION, Action.RESTART, exception, None, (line,), f"exception: {line}"
    )


def _told_checkpoint(outcome: Outcome | None, pages: Sequence[Page]) -> str | None:
    """The checkpoint that rank 0 of another node has saved, if it is there.

    Its own supervisor looks for checkpoints; the one of this node only hears of them.
    """
    if outcome is None or outcome.code != ExitCode.PREEMPTED or outcome.checkpoint is None:
        return None
    is_here = any(page.rank == 0 for page in pages)
    return outcome.checkpoint if not is_here and Path(outcome.checkpoint).exists() else None


def _full_place(found: Diagnosis) -> str | None:
    """The directory named by the write that found no room; the disk is not asked for it here."""
    named = place_of(found.evidence) if found.failure is Failure.DISK_FULL else None
    return None if named is None else os.path.abspath(named)  # noqa: PTH100 -- links unresolved

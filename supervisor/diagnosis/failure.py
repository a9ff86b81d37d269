"""The records that go into and come out of a diagnosis."""

from collections.abc import Sequence
from dataclasses import dataclass

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure


@dataclass(frozen=True, slots=True)
class ExitEvidence:
    """All that is known about the end of one attempt; an unknown fact is None or empty.

    `lines` are the attempt's last log lines, oldest first. `kernel_lines` are this machine's kernel
    log lines since the attempt began. `start_errno` is set when the command could not be started.
    `lines_from_start`: `lines` reach back to the attempt's beginning, and alone tell of its steps.
    """

    code: int | None
    signal: int | None
    lines: Sequence[str] = ()
    first_step_seen: bool = False
    step: int | None = None
    oom_kill_delta: int | None = None
    free_bytes: int | None = None
    kernel_lines: Sequence[str] = ()
    start_errno: int | None = None
    lines_from_start: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why an attempt ended, what to do, and the lines that decided it.

    `frame` is the innermost call as "file.py:function", without directories. So `exception` and
    `frame` are the same on every machine and in every attempt. With the step they make the
    signature of a death. `loads_checkpoint`: it failed while loading a checkpoint; None without
    known calls.
    """

    failure: Failure
    action: Action
    exception: str | None
    frame: str | None
    evidence: tuple[str, ...]
    reason: str
    loads_checkpoint: bool | None = None
    advice: Advice | None = None

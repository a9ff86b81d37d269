"""What SLURM's controller says, asked with scontrol and squeue. No answer is None, never "failed".

It changes nothing, and raises nothing: a container without scontrol, or a controller that is
down, is an everyday thing on a cluster.
"""

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

ANSWER_S = 10.0
# `Command=/a path/with spaces`: a value ends where the next ` Key=` begins.
_FIELD = re.compile(r"(?:^|\s)([A-Za-z][\w:/]*)=")


def ask(words: Sequence[str], *, timeout_s: float = ANSWER_S) -> str | None:
    """What one of SLURM's commands printed; None if the command is absent, failed or hung."""
    done = _answer(words, timeout_s)
    return done.stdout if done is not None and done.returncode == 0 else None


def _answer(words: Sequence[str], timeout_s: float) -> "subprocess.CompletedProcess[str] | None":
    import subprocess  # `status` of a run outside of SLURM need not pay for it

    try:
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=timeout_s, check=False, env=environment(),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None


def environment() -> dict[str, str]:
    """The environment of this process, without settings that change what SLURM's commands do.

    With SLURM_TIME_FORMAT=relative an EndTime could not be parsed (scontrol(1)). With
    SCANCEL_INTERACTIVE scancel would ask on a terminal that is not there.
    """
    own = {k: v for k, v in os.environ.items() if not k.startswith(("SCANCEL_", "SQUEUE_"))}
    return own | {"SLURM_TIME_FORMAT": "standard"}


def fields(line: str) -> dict[str, str]:
    """The fields of one line of `scontrol -o show`; of a repeated key the first counts.

    A job's command line stands near the end and may hold words like `Reason=x` itself.
    """
    marks = list(_FIELD.finditer(line))
    ends = [mark.start() for mark in marks[1:]] + [len(line)]
    pairs = [(mark[1], line[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)]
    return {key: value.strip() for key, value in reversed(pairs)}


def show_job(job: str, *, timeout_s: float = ANSWER_S) -> dict[str, str] | None:
    """`scontrol show job`; for an array its first line. None if there is no answer."""
    text = ask(["scontrol", "-o", "show", "job", job], timeout_s=timeout_s)
    return fields(text.splitlines()[0]) if text and text.strip() else None


def show_partition(name: str) -> dict[str, str] | None:
    """`scontrol show partition`; None if there is no answer."""
    text = ask(["scontrol", "-o", "show", "partition", name])
    return fields(text.splitlines()[0]) if text and text.strip() else None


def partitions() -> list[dict[str, str]] | None:
    """All partitions that the caller may see; None if there is no answer."""
    text = ask(["scontrol", "-o", "show", "partition"])
    return None if text is None else [fields(line) for line in text.splitlines() if line.strip()]


def configuration() -> dict[str, str] | None:
    """`scontrol show config`; None if there is no answer."""
    text = ask(["scontrol", "show", "config"])
    if text is None:
        return None
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def queue_state(job: str, *, timeout_s: float = ANSWER_S) -> str | None:
    """The job's state from squeue; "" if SLURM has forgotten the job, None if unknown."""
    words = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}"]
    done = _answer(words, timeout_s)
    if done is None:
        return None
    if done.returncode != 0:
        return "" if "Invalid job id" in done.stderr else None
    states = done.stdout.split()
    # An array is not over while one of its tasks may still run.
    return next((state for state in states if state not in OVER), states[0] if states else "")


# States of a job that will never run again (squeue(1), JOB STATE CODES).
OVER = frozenset(
    {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL"}
    | {"DEADLINE", "PREEMPTED", "REVOKED"}
)
WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED"})


def duration_s(text: str) -> float | None:
    """Seconds of SLURM's `[days-]hours:minutes:seconds`, or `30 sec`; None for UNLIMITED, N/A."""
    words = text.split()
    if words and words[0].isdigit():
        return float(words[0])
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text.strip())
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def limit_s(text: str) -> float | None:
    """Seconds of a limit as `sbatch --time` takes it: minutes, m:s, h:m:s, d-h, d-h:m, d-h:m:s."""
    days, dash, rest = text.strip().rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in parts) or (dash and not days.isdigit()):
        return None
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, seconds = [*numbers, 0, 0][:3]
    else:
        hours, minutes, seconds = {1: (0, *numbers, 0), 2: (0, *numbers)}.get(
            len(numbers), tuple(numbers)
        )[:3]
    return float(((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds)

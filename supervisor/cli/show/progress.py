"""How far a run is, in one line: step, total, pace, epoch, loss; for `status` and the display.

Where no step is known otherwise, what the progress bars in the log show takes its place.
"""

from dataclasses import replace

from supervisor.cli.show.formatting import count_text
from supervisor.config.durations import format_duration
from supervisor.core.printed_status import PrintedStatus
from supervisor.core.status import Status


def without_pace(status: Status) -> Status:
    """The status of a run that nobody watches any more: it has no pace, and no end in sight."""
    printed = None if status.printed is None else replace(status.printed, step_rate=None)
    return replace(status, step_rate=None, eta_s=None, printed=printed)


def progress_text(status: Status) -> str:
    """Step, rate, epoch and loss as far as known."""
    printed = status.printed or PrintedStatus()
    parts = []
    if status.step is not None:
        parts += _step_parts(status.step, status.total, status.step_rate, status.eta_s)
        if job := _job_end(status):
            parts.append(job)
    elif printed.step is not None:
        eta_s = None
        if printed.total is not None and printed.step_rate:
            eta_s = max(printed.total - printed.step, 0) / printed.step_rate
        parts += _step_parts(printed.step, printed.total, printed.step_rate, eta_s)
    if status.epoch is not None:
        parts.append(f"epoch {status.epoch}")
    elif printed.epoch is not None:
        of = "" if printed.epochs is None else f" of {printed.epochs}"
        parts.append(f"epoch {printed.epoch}{of}")
    if status.step is None and printed.step is None and printed.batch is not None:
        of = "" if printed.batches is None else f"/{count_text(printed.batches)}"
        parts.append(f"{count_text(printed.batch)}{of}")
    loss = printed.loss if status.loss is None else status.loss
    if loss is not None:
        parts.append(f"loss {loss:.4g}")
    if status.grad_norm is not None:
        parts.append(f"grad norm {status.grad_norm:.3g}")
    if status.step is None and printed.file is not None:
        parts.append(f"by {printed.file}")
    return ", ".join(parts)


def _job_end(status: Status) -> str | None:
    """That the SLURM job ends before the training does; None where it does not, or may not."""
    ends_s = None if status.slurm is None else status.slurm.time_left_s
    if ends_s is None or status.eta_s is None or ends_s >= status.eta_s:
        return None
    return f"but the job ends in {format_duration(max(ends_s, 0.0))}"


def _step_parts(step: int, total: int | None, rate: float | None, eta_s: float | None) -> list[str]:
    """`step 370 of 1,000 (37 %) at 5.97 steps/s`, `1m45s left`."""
    of = ""
    if total is not None and 0 <= step <= total:
        of = f" of {count_text(total)} ({100 * step // max(total, 1)} %)"
    speed = f" at {rate_text(rate)}" if rate else ""
    left = [f"{format_duration(round(eta_s))} left"] if of and eta_s else []
    return [f"step {count_text(step)}{of}{speed}", *left]


def rate_text(rate: float) -> str:
    """Steps a second, or seconds a step where it is slow."""
    return f"{rate:.3g} steps/s" if rate >= 0.5 else f"{1 / rate:.3g} s/step"

"""How far the training is, in words: step, total, pace, time left."""

from supervisor.cli.show.formatting import count_text
from supervisor.config.durations import format_duration
from supervisor.core.status import Status


def progress_text(status: Status) -> str:
    """Step, rate, epoch and loss as far as known."""
    parts = []
    if status.step is not None:
        speed = f" at {rate_text(status.step_rate)}" if status.step_rate else ""
        parts.append(f"step {count_text(status.step)}{total_text(status)}{speed}")
    if status.step_rate and (left := left_text(status)):
        parts.append(left)
    if status.epoch is not None:
        parts.append(f"epoch {status.epoch}")
    if status.loss is not None:
        parts.append(f"loss {status.loss:.4g}")
    return ", ".join(parts)


def total_text(status: Status) -> str:
    """` of 1,000 (50%)`, if the trainer said how many steps it makes."""
    total, step = status.total_steps, status.step
    if not total or step is None:
        return ""
    # Never rounded up: 100% means that the last step is done.
    return f" of {count_text(total)} ({min(100 * step // total, 100)}%)"


def left_text(status: Status) -> str:
    """`2h05m left`, and whether the SLURM job ends before."""
    if status.eta_s is None:
        return ""
    left = f"{format_duration(status.eta_s)} left"
    ends_s = None if status.slurm is None else status.slurm.time_left_s
    if ends_s is None or ends_s >= status.eta_s:
        return left
    return f"{left}, but the job ends in {format_duration(max(ends_s, 0.0))}"


def rate_text(rate: float) -> str:
    """Steps a second, or seconds a step where it is slow."""
    return f"{rate:.3g} steps/s" if rate >= 0.5 else f"{1 / rate:.3g} s/step"

"""Reads options for sbatch as far as the supervisor needs them; sbatch itself judges them."""

from supervisor.config.durations import format_duration
from supervisor.slurm.controller import limit_s


def option_value(options: tuple[str, ...], long: str, short: str) -> str | None:
    """The last value of an option: `--time=5`, `--time 5`, `-t5` or `-t 5`; None without it."""
    value = None
    for i, word in enumerate(options):
        following = options[i + 1] if i + 1 < len(options) else None
        if word in (long, short):
            value = following
        elif word.startswith(f"{long}="):
            value = word.removeprefix(f"{long}=")
        elif word.startswith(short) and not word.startswith("--"):
            value = word.removeprefix(short)
    return value


def time_limit_problem(options: tuple[str, ...], lead_s: float) -> str | None:
    """Why a time limit is too short for the signal's lead; None if it is long enough."""
    text = option_value(options, "--time", "-t")
    limit = limit_s(text) if text else None
    # SLURM may send the signal up to a minute early (sbatch(1), --signal).
    if limit is None or limit > 2 * (lead_s + 60):
        return None
    return (
        f"the time limit is {format_duration(limit)}, and the signal to save comes "
        f"{format_duration(lead_s)} before the limit, up to a minute early. Little time is left "
        "to train: choose a longer --time, or a shorter `grace`"
    )

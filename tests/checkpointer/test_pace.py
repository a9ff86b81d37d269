"""How often memory gets the state: by a number of steps, or by what a snapshot costs."""

from itertools import pairwise

import pytest

from supervisor.torch.pace import COST, LEAST_S, Pace


def run(pace: Pace, step_s: float, stall_s: float, steps: int) -> list[float]:
    """The times of the snapshots in seconds, if each stalls training for `stall_s`."""
    now, taken = 0.0, []
    for step in range(1, steps + 1):
        now += step_s
        if pace.is_due(step, now):
            now += stall_s
            pace.taken(now, stall_s)
            taken.append(now)
    return taken


@pytest.mark.parametrize("stall_s", [0.001, 0.05, 0.5])
@pytest.mark.parametrize("step_s", [0.01, 0.3, 4.0])
def test_auto_costs_a_hundredth(step_s: float, stall_s: float) -> None:
    """Measured snapshots take at most 1 % of the time, and come nearly as often as that allows."""
    steps = round(12 * max(stall_s / COST, LEAST_S, step_s) / step_s)
    taken = run(Pace("auto"), step_s, stall_s, steps)
    between = [after - before for before, after in pairwise(taken[4:])]
    wanted = max(stall_s / COST, LEAST_S, step_s)
    assert min(between) >= max(stall_s / COST, LEAST_S) - step_s / 2
    assert max(between) <= wanted + step_s + stall_s


def test_steps_and_none() -> None:
    """A number counts steps, and 0 takes no snapshot."""
    assert len(run(Pace(7), 0.1, 0.0, 70)) == 10
    assert run(Pace(0), 0.1, 0.0, 70) == []


@pytest.mark.parametrize("wrong", ["often", -1, 2.5])
def test_nonsense_is_refused(wrong: object) -> None:
    """A value that is neither `auto` nor a number of steps is refused."""
    with pytest.raises(ValueError, match="snapshot_steps"):
        Pace(wrong)  # type: ignore[arg-type]

"""How often to save: published values, the optimum itself, and when a word is worth it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.rules.save_interval import (
    DAY_S,
    NODE_MTTF_S,
    best_interval_s,
    best_steps,
    daly_interval_s,
    lost_share,
    mean_time_to_failure_s,
    save_advice,
)

saves = st.floats(0.01, 600)
mttfs = st.floats(3600, 100 * DAY_S)


@pytest.mark.parametrize(("mttf_h", "minutes"), [(24.0, 116.69), (6.0, 56.71), (0.25, 9.14)])
def test_dalys_interval_has_its_published_values(mttf_h: float, minutes: float) -> None:
    """Daly's formula for a save of 5 minutes."""
    assert daly_interval_s(300, mttf_h * 3600) / 60 == pytest.approx(minutes, abs=0.005)


def test_a_save_that_takes_longer_than_two_failures_is_dalys_other_case() -> None:
    """There the interval is the time between failures."""
    assert daly_interval_s(300, 100) == 100


@given(save_s=saves, mttf_s=mttfs)
def test_the_interval_agrees_with_dalys(save_s: float, mttf_s: float) -> None:
    """Without a recovery, and with failures much rarer than saves, both formulas say the same.

    Daly's counts from the end of a save, the other one from its begin.
    """
    theirs = daly_interval_s(save_s, mttf_s) + save_s
    within = 2 * (save_s / mttf_s) ** 0.5
    assert best_interval_s(save_s, mttf_s, 0) == pytest.approx(theirs, rel=within)


@given(save_s=saves, mttf_s=mttfs, factor=st.sampled_from([0.2, 0.5, 2.0, 5.0]))
def test_no_other_interval_loses_less(save_s: float, mttf_s: float, factor: float) -> None:
    """The loss at the best interval is the least there is, to what the share leaves out."""
    best = best_interval_s(save_s, mttf_s, 0)
    if save_s > mttf_s / 100:
        return
    here = lost_share(best, save_s, mttf_s)
    assert here <= lost_share(factor * best, save_s, mttf_s) + 1e-9


def test_failures_seen_take_the_place_of_the_prior() -> None:
    """With no failure the clusters' time counts; with many the run's own."""
    assert mean_time_to_failure_s(0, 0) == pytest.approx(NODE_MTTF_S)
    assert mean_time_to_failure_s(0, 0, nodes=10) == pytest.approx(NODE_MTTF_S / 10)
    assert mean_time_to_failure_s(100, 100 * 3600) == pytest.approx(3600, rel=0.25)
    after_one = mean_time_to_failure_s(1, 3600)
    assert 3600 < after_one < 2 * DAY_S


def test_a_far_interval_is_told_with_what_a_better_one_loses() -> None:
    """Failures each 4 hours, saves of 2 s each 2 h at 1 s a step: some minutes are far better."""
    found = save_advice(7200, 2, 4 * 3600, 60, 1.0)
    assert found is not None
    assert found.best_steps == 240
    assert found.share == pytest.approx(lost_share(240, 2, 14400) / lost_share(7200, 2, 14400))
    assert found.share < 0.1


def test_saves_that_are_far_too_often_are_told_too() -> None:
    """A save of 5 s each 10 s costs a third of the time."""
    found = save_advice(10, 5, NODE_MTTF_S, 60, 0.5)
    assert found is not None
    assert found.best_s > 3600


@pytest.mark.parametrize("interval_s", [80.0, 240.0, 700.0])
def test_a_near_interval_is_left_alone(interval_s: float) -> None:
    """Within a factor of three of the best nothing is said."""
    assert save_advice(interval_s, 2, 4 * 3600, 60, 1.0) is None


def test_a_gain_that_nobody_feels_is_not_told() -> None:
    """A save of a hundredth of a second, each minute instead of each quarter of an hour."""
    assert save_advice(60, 0.01, NODE_MTTF_S, 60, 0.1) is None


@pytest.mark.parametrize(("step_s", "steps"), [(None, None), (0.001, 240_000), (17.0, 14)])
def test_steps_are_rounded_to_two_digits(step_s: float | None, steps: int | None) -> None:
    """Without the time of a step only the time is known."""
    found = save_advice(7200, 2, 4 * 3600, 60, step_s)
    assert found is not None
    assert found.best_steps == steps


def test_a_step_that_is_longer_than_the_best_interval_is_one_step() -> None:
    """Saves each 20 steps of 20 minutes, where failures come each 4 hours."""
    found = save_advice(24_000, 2, 4 * 3600, 60, 1200.0)
    assert found is not None
    assert found.best_steps == 1
    assert found.best_s == 1200.0


anything = st.floats(-1e299, 1e299) | st.sampled_from([0.0, 5e-324, math.inf, -math.inf, math.nan])
counts = st.integers(-(10**12), 10**12)


@given(
    save_s=anything, watched_s=anything, recovery_s=anything, failures=counts, nodes=counts,
    step_s=anything, interval_s=anything,
)  # fmt: skip
def test_numbers_that_cannot_be_end_nothing(
    *,
    save_s: float,
    watched_s: float,
    recovery_s: float,
    failures: int,
    nodes: int,
    step_s: float,
    interval_s: float,
) -> None:
    """Ledger and trainer may say what they want: the answer is a number, and nothing raises."""
    mttf_s = mean_time_to_failure_s(failures, watched_s, nodes)
    assert 0 < mttf_s < math.inf
    for between_s in (mttf_s, watched_s):
        best_s = best_interval_s(save_s, between_s, recovery_s)
        assert 0 <= best_s < math.inf
        steps = best_steps(best_s, step_s)
        assert steps is None or steps >= 1
        assert 0 <= lost_share(interval_s, save_s, between_s) <= 1
        save_advice(interval_s, save_s, between_s, recovery_s, step_s)

"""The simulation of save intervals: known losses come out, and the same seed gives the same."""

import pytest

from benchmarks.report import OURS
from benchmarks.save_interval import Fixed, FoundByItself, Scenario, lost_share, simulate

OFTEN = Scenario(save_s=2.0, mttf_s=4 * 3600.0)


def test_without_a_failure_only_saves_cost() -> None:
    """A save of 2 s each 98 s of training is 2 % of the time."""
    never = Scenario(save_s=2.0, mttf_s=1e12)
    assert lost_share(never, Fixed(98.0), 1) == pytest.approx(0.02, abs=1e-3)


def test_failures_cost_half_an_interval_and_the_recovery() -> None:
    """Without a cost of saves, which no training has."""
    free = Scenario(save_s=1e-9, mttf_s=36_000.0, recovery_s=600.0, trained_s=4000 * 3600.0)
    expected = (1200.0 + 600.0) / 36_000.0
    assert lost_share(free, Fixed(2400.0), 3) == pytest.approx(expected, rel=0.2)


def test_it_is_found_without_knowing_how_often_the_run_fails() -> None:
    """It loses far less than a tenth of the best interval or ten times it, and nearly the least."""
    found = simulate(OFTEN, range(5))
    assert found == simulate(OFTEN, range(5))
    assert found["1 × best"] < found["0.5 × best"]
    assert found[OURS] < 1.3 * found["1 × best"]
    assert found[OURS] < found["0.1 × best"] / 2
    assert found[OURS] < found["10 × best"] / 2


def test_the_attempts_go_on_from_each_other() -> None:
    """After a failure the interval is not a minute again."""
    pace = FoundByItself(OFTEN)
    for _ in range(10):
        pace.saved(2.0)
    before = pace.interval_s()
    pace.failed(3600.0)
    assert 60 < pace.interval_s() < before

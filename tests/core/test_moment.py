"""Ages over clocks that jump: no effect within a boot, never negative over a reboot."""

import pytest

from supervisor.core.point_in_time import Moment
from supervisor.core.policy import Policy
from supervisor.core.rules.resumption import initial_state
from tests.core.world import history_of

HOUR_S = 3600.0
BOOT = {"type": "daemon_started", "boot_id": "b", "wall": 0.0}


@pytest.mark.parametrize("jump_s", [-20 * HOUR_S, 0.0, 20 * HOUR_S, 48 * HOUR_S])
def test_within_a_boot_a_jump_changes_no_age(jump_s: float) -> None:
    """Ten monotonic seconds are ten seconds, whatever the wall clock says."""
    now = Moment(1010.0 + jump_s, 60.0, "b")
    assert Moment(1000.0, 50.0, "b").age_s(now) == 10.0


def test_over_a_reboot_the_wall_clock_counts() -> None:
    """Over a reboot the monotonic clock begins anew; a future wall time counts as now."""
    assert Moment(1000.0, 5000.0, "b").age_s(Moment(1300.0, 6000.0, "c")) == 300.0
    assert Moment(1000.0, 5000.0, "b").age_s(Moment(400.0, 6000.0, "c")) == 0.0


def test_without_a_monotonic_time_or_with_one_that_cannot_be_the_wall_clock_counts() -> None:
    """An older ledger has no monotonic time; another time namespace has one that cannot be true."""
    assert Moment(1000.0, None, "b").age_s(Moment(1003.0, 9.0, "b")) == 3.0
    assert Moment(1000.0, 50.0, "b").age_s(Moment(1003.0, 9.0, "b")) == 3.0


def test_a_jump_forward_refills_no_daily_budget() -> None:
    """Failures ten minutes ago count, though the wall clock says two days."""
    failed = {"type": "attempt_ended", "charged": True, "failures": 1, "wall": 0.0}
    entries = [BOOT, *({**failed, "monotonic": 100.0 + n} for n in range(3))]
    state = initial_state(history_of(entries), Policy(), now=700.0, wall=48 * HOUR_S, boot="b")
    assert state.budget.recent == (100.0, 101.0, 102.0)


def test_a_jump_books_no_time() -> None:
    """Two days that never passed are neither training nor down."""
    spent = {"type": "time", "training_s": 50.0, "wall": 0.0, "monotonic": 100.0}
    state = initial_state(
        history_of([BOOT, spent]), Policy(), now=130.0, wall=48 * HOUR_S, boot="b", alive=True
    )
    assert (state.account.training_s, state.account.unknown_s) == (50.0, 30.0)

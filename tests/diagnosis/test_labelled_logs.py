"""The floors of the diagnosis: labelled logs in every wrapping, and healthy logs without an alarm.

The wrappings are made by code from a seed, so a run prints the same mistakes each time.
"""

import pytest

from benchmarks.diagnosis import FLOORS, ours, score
from benchmarks.labelled_logs import GIVEN, HEALTHY_LOGS, read_logs
from benchmarks.wrapping import HEALTHY_WRAPPINGS, SEED, WRAPPINGS

# A hundred logs of up to two thousand lines are made and read in each test.
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_floors_hold(wrapping: str) -> None:
    """Name and action are right, and hardly a run is held or restarted wrongly."""
    found = score(read_logs(GIVEN), wrapping, SEED, ours)
    assert len(found.failed) == 108
    below = [
        f"{floor.what}: {floor.of(found):.2f} %, wanted {floor.target} %"
        for floor in FLOORS
        if not floor.is_reached(found)
    ]
    assert not below, "\n".join([*below, *found.mistakes()])


@pytest.mark.parametrize("wrapping", HEALTHY_WRAPPINGS)
def test_no_alarm_in_a_healthy_log(wrapping: str) -> None:
    """Words of failures stand in all of these logs, as the last line too; none failed."""
    found = score(read_logs(HEALTHY_LOGS), wrapping, SEED, ours)
    assert len(found.judged) >= 25
    assert not found.alarms, "\n".join(found.mistakes())

"""Hooks in a unit: a stop while one runs, and a held run whose hook is waited for."""

import json

import pytest

from tests.rigs.systemd.conftest import UnitUnderTest

pytestmark = [pytest.mark.rig, pytest.mark.timeout(180)]
SAME_DEATH = json.dumps({str(attempt): [5, "raise"] for attempt in range(1, 20)})


def test_a_stop_while_before_launch_runs(unit: UnitUnderTest) -> None:
    """The unit ends as after any other stop, and nothing was launched."""
    unit.configure(hooks={"before_launch": ["sh", "-c", "setsid sleep 1000 & sleep 1000"]})
    unit.start()
    unit.wait(lambda: unit.status.get("reason") == "the hook before_launch runs")
    unit.wait(lambda: "the hook before_launch runs" in unit.fact("StatusText"))
    unit.systemctl("stop")
    unit.wait_state("inactive")
    assert unit.fact("Result") == "success"
    assert unit.status["state"] == "preempted"
    assert not unit.entries("attempt_started")


def test_a_held_run_waits_for_its_hook(unit: UnitUnderTest) -> None:
    """Longer than systemd gives a unit that stops: it is not stopping yet."""
    done = unit.run_dir / "told"
    script = f"sleep 5; touch {done}"
    unit.configure(env={"FAULTS": SAME_DEATH}, hooks={"held": ["sh", "-c", script]})
    unit.start()
    unit.wait(lambda: unit.status.get("state") == "held")
    unit.wait_state("failed")
    assert done.exists()
    assert not unit.entries("hook_failed")

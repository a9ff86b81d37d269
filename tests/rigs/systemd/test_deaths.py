"""Each part of a run dies or freezes under systemd, and the run goes on."""

import signal
import time

import pytest

from tests.rigs.systemd.conftest import UnitUnderTest
from tests.rigs.systemd.memory import MemoryLimit

pytestmark = [pytest.mark.rig, pytest.mark.timeout(180)]


def test_trainer_crash(unit: UnitUnderTest) -> None:
    """A killed trainer is relaunched from its newest checkpoint; systemd does not notice."""
    unit.configure(env={"FAULTS": '{"1": [25, "kill"]}'})
    unit.start()
    pids = unit.wait_step(30, attempt=2)
    assert unit.begun_at(2) == 21
    facts = unit.shown("ActiveState", "NRestarts", "MainPID")
    assert facts == {"ActiveState": "active", "NRestarts": "0", "MainPID": str(pids["launcher"])}


def test_daemon_crash_loses_no_step(unit: UnitUnderTest) -> None:
    """`kill -9` of the daemon: the same trainer goes on under another daemon."""
    unit.start()
    before = unit.wait_step(5)
    unit.machine.kill(before["daemon"], signal.SIGKILL)
    after = unit.wait_successor(before)
    assert (after["launcher"], after["trainer"]) == (before["launcher"], before["trainer"])
    assert len(unit.entries("attempt_started")) == 1
    assert unit.fact("NRestarts") == "0"
    unit.wait(lambda: "running: attempt 1" in unit.fact("StatusText"))


def test_launcher_crash_is_restarted_and_resumed(unit: UnitUnderTest) -> None:
    """`kill -9` of the launcher: systemd starts the unit again, and the run resumes."""
    unit.start()
    before = unit.wait_step(25)
    durable = unit.newest_checkpoint()["step"]
    unit.machine.kill(before["launcher"], signal.SIGKILL)
    unit.wait(lambda: unit.fact("NRestarts") == "1")
    unit.wait_step(durable + 1, attempt=2)
    assert unit.begun_at(2) > durable >= 20
    assert unit.machine.run("kill", "-0", str(before["trainer"]), check=False).returncode != 0
    assert unit.fact("ActiveState") == "active"


def test_frozen_daemon_is_replaced_before_the_watchdog(unit: UnitUnderTest) -> None:
    """SIGSTOP to the daemon: the launcher replaces it before systemd's watchdog acts."""
    unit.install(settings="WatchdogSec=9s")
    unit.systemctl("start")
    before = unit.wait_step(5)
    unit.machine.kill(before["daemon"], signal.SIGSTOP)
    frozen_at = time.monotonic()
    unit.wait(lambda: unit.pids["daemon"] != before["daemon"])
    assert time.monotonic() - frozen_at < 9
    # Past the moment at which the watchdog would have acted.
    unit.wait(lambda: time.monotonic() - frozen_at > 12)
    after = unit.wait_step(5)
    assert (after["launcher"], after["trainer"]) == (before["launcher"], before["trainer"])
    facts = unit.shown("ActiveState", "NRestarts", "Result")
    assert facts == {"ActiveState": "active", "NRestarts": "0", "Result": "success"}
    replaced = [e for e in unit.journal() if "replacing it" in str(e["MESSAGE"])]
    assert [e["PRIORITY"] for e in replaced] == ["4"]


def test_daemons_that_die_again_and_again_cost_no_training(unit: UnitUnderTest) -> None:
    """No daemon lives for longer than WatchdogSec=: the launcher notifies systemd instead."""
    unit.install(settings="WatchdogSec=4s")
    unit.systemctl("start")
    before = unit.wait_step(5)
    begun_at, killed = time.monotonic(), {0}
    while time.monotonic() - begun_at < 9:
        found = unit.machine.run(
            "pgrep", "-P", str(before["launcher"]), "-f", "daemon/__main__.py", check=False
        )
        for pid in {int(word) for word in found.stdout.split()} - killed:
            unit.machine.kill(pid, signal.SIGKILL)
            killed.add(pid)
    assert len(killed) > 4
    assert "starting it again" in unit.fact("StatusText")
    after = unit.wait_successor(before)
    assert (after["launcher"], after["trainer"]) == (before["launcher"], before["trainer"])
    assert unit.fact("NRestarts") == "0"


def test_watchdog_ends_what_is_frozen_as_a_whole(unit: UnitUnderTest) -> None:
    """Launcher and daemon stand still: the watchdog restarts the unit, and the run resumes."""
    unit.install(settings="WatchdogSec=6s")
    unit.systemctl("start")
    before = unit.wait_step(25)
    unit.machine.kill(before["launcher"], signal.SIGSTOP)
    unit.machine.kill(before["daemon"], signal.SIGSTOP)
    unit.wait(lambda: unit.fact("NRestarts") == "1")
    unit.wait_step(21, attempt=2)
    assert unit.begun_at(2) >= 21


def test_out_of_memory_in_the_trainer_spares_the_unit(
    unit: UnitUnderTest, memory_limit: MemoryLimit
) -> None:
    """The kernel kills the trainer, the unit goes on, and the run resumes."""
    unit.configure(env={"FAULTS": '{"1": [25, "hungry"]}'})
    unit.install(settings=memory_limit.settings)
    unit.systemctl("start")
    pids = unit.wait_step(25)
    memory_limit.take(unit.machine.outer_pid(pids["trainer"]))
    (unit.run_dir / "GO").touch()
    after = unit.wait_step(26, attempt=2)
    assert unit.begun_at(2) == 21
    assert after["launcher"] == pids["launcher"]
    assert memory_limit.kills() >= 1
    assert unit.entries("attempt_ended")[0]["signal"] == signal.SIGKILL
    facts = unit.shown("ActiveState", "NRestarts", "OOMPolicy")
    assert facts == {"ActiveState": "active", "NRestarts": "0", "OOMPolicy": "continue"}

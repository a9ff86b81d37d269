"""A unit's life: start, reload, stop, restart, and a machine that shuts down."""

import re
import sys

import pytest

from supervisor.core.vocabulary import Intent
from supervisor.rundir.intent import read_intent
from tests.rigs.systemd.conftest import TRAINER, UnitUnderTest
from tests.rigs.systemd.machine import ACCOUNT_ID, Machine

pytestmark = [pytest.mark.rig, pytest.mark.timeout(180)]


def test_start_ready_and_status_text(unit: UnitUnderTest) -> None:
    """Ready when the daemon is; the status text has attempt, step and loss, and changes."""
    unit.start()
    facts = unit.shown("ActiveState", "SubState", "Type", "NotifyAccess", "MainPID")
    assert facts["ActiveState"] == "active"
    assert (facts["Type"], facts["NotifyAccess"]) == ("notify", "all")
    first = unit.wait(lambda: re.search(r"running: attempt 1, step (\d+), loss", _text(unit)))
    later = unit.wait(
        lambda: (
            (m := re.search(r"step (\d+), loss 0\.\d+", _text(unit))) and int(m[1]) > int(first[1])
        )
    )
    assert later
    assert unit.pids["launcher"] == int(facts["MainPID"])
    assert 'Status: "running: attempt 1' in unit.systemctl("status", "--no-pager")


def _text(unit: UnitUnderTest) -> str:
    return (
        unit.fact("StatusText")
        .replace(",", "")
        .replace("1 step", "1, step")
        .replace(" loss", ", loss")
    )


def test_trainer_has_none_of_the_service(unit: UnitUnderTest) -> None:
    """The trainer has the account, but no notify socket and no OOM protection.

    The supervisor keeps its protection.
    """
    unit.start()
    pids = unit.wait_step(1)
    said = unit.log.splitlines()[0]
    assert "'NOTIFY_SOCKET': None, 'WATCHDOG_USEC': None" in said
    assert f"oom 0 uid {ACCOUNT_ID}" in said
    # Without CAP_SYS_RESOURCE (as in a container) systemd ignores OOMScoreAdjust=.
    ours = "-500" if unit.machine.may_raise_limits() else "0"
    for name, score in (("launcher", ours), ("daemon", ours), ("trainer", "0")):
        seen = unit.machine.run("cat", f"/proc/{pids[name]}/oom_score_adj").stdout.strip()
        assert (name, seen) == (name, score)


# A process that marks and sessions miss: two forks, its own session, an empty environment.
ESCAPE = """\
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sleep", ["sleep", "1000.5"], {})
    os._exit(0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_each_attempt_has_a_cgroup_that_is_emptied(unit: UnitUnderTest) -> None:
    """Delegate=yes: attempts' cgroups are below the unit's; the first is emptied for the second."""
    trainer = [sys.executable, "-P", str(TRAINER)]
    command = [sys.executable, "-P", "-c", ESCAPE, *trainer]
    unit.configure(command=command, env={"FAULTS": '{"1": [25, "kill"]}'})
    unit.start()
    pids = unit.wait_step(26, attempt=2)
    (first, second) = (e["cgroup"] for e in unit.entries("attempt_started"))
    run_id = unit.entries("run_created")[0]["run_id"]
    assert second.endswith(f"/{unit.unit}/attempt-{run_id}-2")
    inside = unit.machine.run("cat", f"/proc/{pids['trainer']}/cgroup").stdout.splitlines()
    assert any(second.endswith(line.removeprefix("0::")) for line in inside)
    assert unit.machine.run("ls", first, check=False).returncode != 0
    escaped = unit.machine.run("pgrep", "-fx", "sleep 1000.5").stdout.split()
    assert len(escaped) == 1
    assert escaped[0] in unit.machine.run("cat", f"{second}/cgroup.procs").stdout.split()
    unit.systemctl("stop")
    assert unit.newest_checkpoint()["kind"] == "emergency"
    assert unit.machine.run("pgrep", "-fx", "sleep 1000.5", check=False).stdout == ""


def test_reload_replaces_the_daemon_alone(unit: UnitUnderTest) -> None:
    """`systemctl reload` returns with another daemon; launcher, trainer and attempt stay."""
    unit.start()
    before = unit.wait_step(5)
    unit.systemctl("reload")
    after = unit.wait_successor(before)
    assert (after["launcher"], after["trainer"]) == (before["launcher"], before["trainer"])
    assert unit.fact("ActiveState") == "active"
    assert unit.fact("NRestarts") == "0"


def test_stop_saves_and_leaves_nothing(unit: UnitUnderTest) -> None:
    """The last step is on the disk, no process is left, and the unit has not failed."""
    unit.configure(env={"SAVE_EVERY": 1000000})
    unit.start()
    unit.wait_step(10)
    unit.systemctl("stop")
    facts = unit.shown("ActiveState", "Result", "ExecMainStatus", "StatusText")
    assert (facts["ActiveState"], facts["Result"]) == ("inactive", "success")
    assert facts["ExecMainStatus"] == "75"
    saved = unit.newest_checkpoint()
    assert saved["kind"] == "emergency"
    assert f"saved at step {saved['step']}" in facts["StatusText"]
    assert unit.strays() == []
    assert read_intent(unit.paths.intent).intent is Intent.RUN


def test_stop_waits_for_a_save_longer_than_its_timeout(unit: UnitUnderTest) -> None:
    """During a save the daemon asks for more time than TimeoutStopSec=."""
    unit.configure(env={"SAVE_EVERY": 1000000, "SAVE_S": 6})
    unit.install(settings="TimeoutStopSec=3s")
    unit.systemctl("start")
    unit.wait_step(10)
    unit.systemctl("stop")
    assert unit.fact("Result") == "success"
    assert unit.newest_checkpoint()["kind"] == "emergency"


def test_restart_saves_and_resumes(unit: UnitUnderTest) -> None:
    """`systemctl restart` loses no step."""
    unit.configure(env={"SAVE_EVERY": 1000000})
    unit.start()
    unit.wait_step(10)
    unit.systemctl("restart")
    begun = unit.begun_at(2)
    assert begun > 10
    assert begun == _saved_before(unit, 2) + 1


def _saved_before(unit: UnitUnderTest, attempt: int) -> int:
    """The step of the checkpoint from which an attempt was started."""
    started = unit.wait(
        lambda: next((e for e in unit.entries("attempt_started") if e["attempt"] == attempt), None)
    )
    return int(started["checkpoint"]["step"])


def test_supervisor_stop_stays_stopped(unit: UnitUnderTest) -> None:
    """`supervisor stop` ends the unit for good: no restart, and `start` starts nothing."""
    unit.start()
    unit.wait_step(5)
    unit.supervisor("stop", str(unit.run_dir))
    unit.wait_state("inactive")
    assert unit.fact("Result") == "success"
    unit.systemctl("start")
    unit.wait_state("inactive")
    assert "stopped" in unit.fact("StatusText")
    assert len(unit.entries("attempt_started")) == 1
    unit.supervisor("resume", str(unit.run_dir))
    unit.systemctl("start")
    unit.wait_step(6, attempt=2)


def test_poweroff_saves_and_the_next_boot_resumes(unit: UnitUnderTest, machine: Machine) -> None:
    """An enabled unit: the shutdown waits for the save, and after the boot the run resumes."""
    unit.configure(env={"SAVE_EVERY": 1000000, "SAVE_S": 2})
    unit.start()
    unit.wait_step(10)
    machine.power_off()
    saved = unit.newest_checkpoint()
    assert saved["kind"] == "emergency"
    assert read_intent(unit.paths.intent).intent is Intent.RUN
    machine.boot()
    assert unit.begun_at(2) == saved["step"] + 1
    assert unit.fact("ActiveState") == "active"
    boots = {entry["boot_id"] for entry in unit.entries("supervisor_started")}
    assert len(boots) == 2

"""Everything of an attempt is gone before its exit is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.launcher import process_tree

if TYPE_CHECKING:
    from tests.launcher.conftest import Rig

# A grandchild that leaves session, parent and group, and with `clean` its environment.
DAEMONIZER = """\
import os, signal, sys, time
generations = int(sys.argv[1])
clean = sys.argv[2] == "clean"
def orphan(n):
    if os.fork():
        return
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork():
        os._exit(0)
    open(f"orphan{n}.tmp", "w").write(str(os.getpid()))
    os.rename(f"orphan{n}.tmp", f"orphan{n}")
    if n + 1 < generations:
        orphan(n + 1)
    os.execve("/bin/sleep", ["sleep", "1000"], {} if clean else os.environ)
orphan(0)
while not all(os.path.exists(f"orphan{n}") for n in range(generations)):
    time.sleep(0.01)
"""


@pytest.mark.parametrize("environment", ["kept", "clean"])
def test_double_forked_grandchildren_do_not_leak(rig: Rig, environment: str) -> None:
    """setsid, double fork, SIGTERM ignored, no environment: killed before `exited`."""
    script = rig.script("daemonize.py", DAEMONIZER)
    rig.start()
    daemon = rig.daemon()
    rig.launch(daemon, sys.executable, script, "3", environment)
    assert daemon.expect("main_exited")["code"] == 0
    exited = daemon.expect("exited")
    assert exited["code"] == 0
    assert exited["leftovers"] == 3
    for n in range(3):
        assert rig.is_gone(int((rig.folder / f"orphan{n}").read_text()))


def test_a_process_that_forks_as_fast_as_it_can_is_ended(rig: Rig) -> None:
    """One sweep would miss the children forked during it, so the launcher sweeps repeatedly."""
    script = rig.script(
        "hydra.py",
        """\
import os, time
if os.fork():
    open("running", "w").write("1")
    time.sleep(0.3)
    os._exit(0)
os.setsid()
while True:  # each generation forks the next and goes
    if os.fork():
        os._exit(0)
""",
    )
    rig.start()
    daemon = rig.daemon()
    rig.launch(daemon, sys.executable, script)
    daemon.expect("exited")
    assert process_tree.find(rig.run_id, None) == []


def test_a_kill_takes_the_whole_tree(rig: Rig) -> None:
    """Main, children and orphans of a running attempt are killed; `exited` describes main."""
    script = rig.script("daemonize.py", DAEMONIZER + "\ntime.sleep(1000)\n")
    rig.start()
    daemon = rig.daemon()
    started = rig.launch(daemon, sys.executable, script, "2", "kept")
    orphans = [int(rig.wait_for_file(f"orphan{n}")) for n in range(2)]
    daemon.send("kill", attempt=1)
    exited = daemon.expect("exited")
    assert (exited["code"], exited["signal"], exited["leftovers"]) == (None, 9, 2)
    assert all(rig.is_gone(pid) for pid in [started["pid"], *orphans])


def test_a_stop_of_a_stopped_attempt_stays_one(rig: Rig) -> None:
    """The end of an attempt ends no process of another run, and neither daemon nor launcher."""
    other = {**os.environ, "SUPERVISOR_RUN_ID": "another", "SUPERVISOR_ATTEMPT": "1"}
    bystander = subprocess.Popen(["sleep", "1000"], env=other)
    try:
        rig.start()
        daemon = rig.daemon()
        rig.launch(daemon, "sh", "-c", "sleep 1000 & exit 4")
        exited = daemon.expect("exited")
        assert (exited["code"], exited["leftovers"]) == (4, 1)
        assert bystander.poll() is None
        assert not rig.is_gone(daemon.pid)
    finally:
        bystander.kill()
        bystander.wait()


def test_children_from_before_the_launcher_are_not_the_attempts(rig: Rig) -> None:
    """`job & exec supervisor run`: the shell's job is our child by exec, and is left alone."""
    rig.start(prefix=("sh", "-c", 'sleep 1000 & echo $! > job; exec "$0" "$@"'))
    job = int(rig.wait_for_file("job"))
    daemon = rig.daemon()
    rig.launch(daemon, "sh", "-c", "sleep 1000 & exit 0")
    assert daemon.expect("exited")["leftovers"] == 1
    assert not rig.is_gone(job)
    os.kill(job, signal.SIGKILL)


@pytest.mark.root
def test_what_survives_sigkill_is_told_of(rig: Rig) -> None:
    """A frozen process (cgroup v1) cannot be killed: `unkillable`, and `exited` once it thaws."""
    freezer = Path("/sys/fs/cgroup/freezer") / f"supervisor-test-{os.getpid()}"
    if not freezer.parent.is_dir():
        pytest.skip("no cgroup v1 freezer here")
    freezer.mkdir()
    try:
        rig.start("--unkillable-after-s", "0.3")
        daemon = rig.daemon()
        started = rig.launch(daemon, "sleep", "1000")
        (freezer / "cgroup.procs").write_text(str(started["pid"]))
        (freezer / "freezer.state").write_text("FROZEN")
        rig.wait_until(lambda: "FROZEN" in (freezer / "freezer.state").read_text(), "frozen")
        daemon.send("kill", attempt=1)
        told = daemon.expect("unkillable")
        assert told["attempt"] == 1
        assert [p["pid"] for p in told["pids"]] == [started["pid"]]
        assert told["pids"][0]["comm"] == "sleep"
        assert told["pids"][0]["state"] == "D"
        assert daemon.expect("unkillable")["attempt"] == 1
        daemon.send("launch", **rig.request("true", attempt=2))
        assert "still lives" in daemon.expect("start_failed")["message"]
        (freezer / "freezer.state").write_text("THAWED")
        assert daemon.expect("exited")["signal"] == 9
    finally:
        (freezer / "freezer.state").write_text("THAWED")
        rig.close()
        rig.wait_until(lambda: not (freezer / "cgroup.procs").read_text(), "an empty cgroup")
        freezer.rmdir()


@pytest.mark.root
def test_no_launch_over_an_unkillable_leftover(rig: Rig) -> None:
    """SIGKILL does not end a dead launcher's leftover, so the launch is refused."""
    freezer = Path("/sys/fs/cgroup/freezer") / f"supervisor-test2-{os.getpid()}"
    if not freezer.parent.is_dir():
        pytest.skip("no cgroup v1 freezer here")
    freezer.mkdir()
    env = {**os.environ, "SUPERVISOR_RUN_ID": rig.run_id, "SUPERVISOR_ATTEMPT": "1"}
    leftover = subprocess.Popen(["sleep", "1000"], env=env)
    try:
        (freezer / "cgroup.procs").write_text(str(leftover.pid))
        (freezer / "freezer.state").write_text("FROZEN")
        rig.wait_until(lambda: "FROZEN" in (freezer / "freezer.state").read_text(), "frozen")
        rig.start("--unkillable-after-s", "0.3")
        daemon = rig.daemon()
        daemon.send("launch", **rig.request("touch", "launched", attempt=2))
        assert daemon.expect("unkillable")["attempt"] == 2
        failed = daemon.expect("start_failed")
        assert (failed["attempt"], failed["errno"]) == (2, 16)
        # A second try is stopped while it waits.
        daemon.send("launch", **rig.request("touch", "launched", attempt=3))
        daemon.send("stop", attempt=3, signal=15)
        assert daemon.expect("start_failed")["attempt"] == 3
        (freezer / "freezer.state").write_text("THAWED")
        assert leftover.wait(10) == -signal.SIGKILL
        assert not (rig.folder / "launched").exists()
    finally:
        (freezer / "freezer.state").write_text("THAWED")
        leftover.kill()
        leftover.wait()
        freezer.rmdir()


def test_memory_of_orphans_counts(rig: Rig) -> None:
    """The peak is the largest of the attempt's processes that were reaped."""
    rig.start()
    daemon = rig.daemon()
    big = rig.script("big.py", "x = bytearray(200 << 20)\nimport time\ntime.sleep(0.1)\n")
    rig.launch(daemon, sys.executable, big)
    assert daemon.expect("exited")["peak_rss_bytes"] > 200 << 20
    begin = time.monotonic()
    rig.launch(daemon, "true", attempt=2)
    assert daemon.expect("exited")["peak_rss_bytes"] < 100 << 20
    assert time.monotonic() - begin < 10

"""The parked interpreter under the launcher: when it becomes the trainer, and when not."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from supervisor.system import procfs

if TYPE_CHECKING:
    from tests.launcher.conftest import Daemon, Rig

STAY = """\
import os, sys, time
with open("tmp", "w") as file:
    file.write(f"{os.getpid()} {os.environ['SUPERVISOR_ATTEMPT']} {'decimal' in sys.modules}")
os.rename("tmp", "began")
time.sleep(1000)
"""


def park(rig: Rig, daemon: Daemon, *argv: Any, **fields: Any) -> None:
    """Order a parked interpreter for a command."""
    request = rig.request(*argv, preload=["decimal"], **fields)
    request.pop("attempt")
    daemon.send("park", **request)


def heard(daemon: Daemon, stage: str) -> dict[str, Any]:
    """Wait until the launcher reports the parked interpreter at a stage; the message."""
    while (said := daemon.expect("parked"))["stage"] != stage:
        continue
    return said


def parked(rig: Rig, daemon: Daemon, *argv: Any, **fields: Any) -> int:
    """Order a parked interpreter and wait until it is ready; its pid."""
    park(rig, daemon, *argv, **fields)
    said = heard(daemon, "waiting")
    assert said["said"]["left_out"] == []
    return int(said["pid"])


def test_it_becomes_the_trainer(rig: Rig) -> None:
    """The same process gets the attempt's marks and output, and is reaped like any trainer."""
    script = rig.script("train.py", STAY + "")
    rig.start()
    daemon = rig.daemon()
    pid = parked(rig, daemon, sys.executable, script)
    assert not procfs.has_mark(procfs.read_environ(pid) or b"", procfs.RUN_ID)
    started = rig.launch(daemon, sys.executable, script, "--resume", "x", attempt=7)
    assert (started["pid"], started["launch"], started["why"]) == (pid, "warm", None)
    assert rig.wait_for_file("began") == f"{pid} 7 True"
    process = procfs.read_process(pid)
    assert process is not None
    assert process.start_ticks == started["start_ticks"]
    assert procfs.has_mark(procfs.read_environ(pid) or b"", procfs.RUN_ID, rig.run_id)
    daemon.send("stop", attempt=7, signal=signal.SIGTERM)
    exited = daemon.expect("exited")
    assert (exited["signal"], exited["leftovers"]) == (signal.SIGTERM, 0)
    rig.finish(daemon)


def test_a_program_that_ends_at_once_is_told_like_any(rig: Rig) -> None:
    """The program may end before the launcher reads that the interpreter has become it."""
    script = rig.script("train.py", "import os; os._exit(3)")
    rig.start()
    daemon = rig.daemon()
    for attempt in range(1, 4):
        pid = parked(rig, daemon, sys.executable, script)
        assert rig.launch(daemon, sys.executable, script, attempt=attempt)["pid"] == pid
        exited = daemon.expect("exited")
        assert (exited["code"], exited["attempt"]) == (3, attempt)
    rig.finish(daemon)


def test_a_refusal_is_a_cold_launch_with_its_reason(rig: Rig) -> None:
    """The environment differs from that of the imports; the parked one ends before the start."""
    script = rig.script("train.py", STAY)
    rig.start()
    daemon = rig.daemon()
    pid = parked(rig, daemon, sys.executable, script)
    env = {"FOLDER": "elsewhere"}
    started = rig.launch(daemon, sys.executable, script, env=env)
    assert started["launch"] == "cold"
    assert started["why"] == "FOLDER has changed in the environment"
    assert started["pid"] != pid
    assert rig.is_gone(pid)
    assert rig.wait_for_file("began").endswith(" 1 False")
    rig.finish(daemon)


def test_a_command_that_is_not_python_is_not_parked(rig: Rig) -> None:
    """The launcher reports why nothing is parked, and launches cold."""
    rig.start()
    daemon = rig.daemon()
    park(rig, daemon, "sh", "-c", "true")
    said = daemon.expect("parked")
    assert (said["stage"], said["reason"]) == ("absent", "sh is not Python")
    started = rig.launch(daemon, "sh", "-c", "true")
    assert (started["launch"], started["why"]) == ("cold", "sh is not Python")
    rig.finish(daemon)


def test_a_script_with_a_pythons_first_line_is_parked(rig: Rig) -> None:
    """Its child reads the first line: a Python program becomes the trainer, others are refused."""
    folder = rig.folder / "bin"
    folder.mkdir()
    tool, other = folder / "tool", folder / "other"
    tool.write_text(f"#!{sys.executable}\n{STAY}")
    other.write_text("#!/bin/sh\ntrue\n")
    for script in (tool, other):
        script.chmod(0o755)
    env = {"PATH": f"{folder}:{os.environ['PATH']}"}
    rig.start()
    daemon = rig.daemon()
    pid = parked(rig, daemon, "tool", env=env)
    started = rig.launch(daemon, "tool", "--resume", "x", attempt=7, env=env)
    assert (started["pid"], started["launch"], started["why"]) == (pid, "warm", None)
    assert rig.wait_for_file("began") == f"{pid} 7 True"
    daemon.send("stop", attempt=7, signal=signal.SIGTERM)
    daemon.expect("exited")
    park(rig, daemon, "other", env=env)
    assert heard(daemon, "absent")["reason"] == "other is not Python"
    started = rig.launch(daemon, "other", attempt=8, env=env)
    assert (started["launch"], started["why"]) == ("cold", "other is not Python")
    rig.finish(daemon)


def test_one_that_is_not_ready_is_waited_for_or_given_up(rig: Rig) -> None:
    """It is waited for as long as the daemon orders; none is left beside a cold start."""
    script = rig.script("train.py", "pass")
    rig.start()
    daemon = rig.daemon()
    park(rig, daemon, sys.executable, script)
    started = rig.launch(daemon, sys.executable, script, attempt=1, patience_s=30.0)
    assert started["launch"] == "warm"
    daemon.expect("exited")
    park(rig, daemon, sys.executable, script)
    pid = heard(daemon, "importing")["pid"]
    started = rig.launch(daemon, sys.executable, script, attempt=2)
    assert (started["launch"], started["why"]) == (
        "cold",
        "the parked interpreter was not ready yet",
    )
    assert rig.is_gone(pid)
    daemon.expect("exited")
    pid = parked(rig, daemon, sys.executable, script)
    started = rig.launch(daemon, sys.executable, script, attempt=3, why_cold="so configured")
    assert (started["launch"], started["why"]) == ("cold", "so configured")
    assert rig.is_gone(pid)
    rig.finish(daemon)


def test_a_stop_that_comes_first_leaves_it_parked(rig: Rig) -> None:
    """A launch that waits for the imports is called off; the next launch uses them."""
    script = rig.script("train.py", "pass")
    rig.start()
    daemon = rig.daemon()
    park(rig, daemon, sys.executable, script)
    pid = heard(daemon, "importing")["pid"]
    os.kill(pid, signal.SIGSTOP)
    daemon.send("launch", **rig.request(sys.executable, script, patience_s=30.0))
    daemon.send("stop", attempt=1, signal=signal.SIGTERM)
    assert daemon.expect("start_failed")["errno"] == 125
    os.kill(pid, signal.SIGCONT)
    heard(daemon, "waiting")
    assert rig.launch(daemon, sys.executable, script, attempt=2)["pid"] == pid
    rig.finish(daemon)


def test_a_launch_called_off_after_go_leaves_no_program(rig: Rig) -> None:
    """An interpreter that was told to go and has not answered is killed: it might go later."""
    script = rig.script("train.py", STAY)
    rig.start()
    daemon = rig.daemon()
    pid = parked(rig, daemon, sys.executable, script)
    os.kill(pid, signal.SIGSTOP)
    daemon.send("launch", **rig.request(sys.executable, script))
    daemon.send("kill", attempt=1)
    assert daemon.expect("start_failed")["errno"] == 125
    assert heard(daemon, "absent")["reason"] == "the launch was called off"
    assert rig.is_gone(pid)
    assert not (rig.folder / "began").exists()
    started = rig.launch(daemon, sys.executable, script, attempt=2)
    assert (started["launch"], started["why"]) == ("cold", "the launch was called off")
    rig.finish(daemon)


def test_one_that_dies_is_missed_and_not_started_again(rig: Rig) -> None:
    """The kernel kills it when memory is short; the daemon decides whether to park another."""
    script = rig.script("train.py", "pass")
    rig.start()
    daemon = rig.daemon()
    pid = parked(rig, daemon, sys.executable, script)
    os.kill(pid, signal.SIGKILL)
    said = heard(daemon, "absent")
    assert said["reason"] == "the parked interpreter was ended by signal 9"
    started = rig.launch(daemon, sys.executable, script)
    assert (started["launch"], started["why"]) == (
        "cold",
        "the parked interpreter was ended by signal 9",
    )
    rig.finish(daemon)


def test_it_ends_with_the_launcher(rig: Rig) -> None:
    """Whether the launcher is killed or ends, the parked one ends, also while it imports."""
    script = rig.script("train.py", "pass")
    rig.start()
    daemon = rig.daemon()
    pid = parked(rig, daemon, sys.executable, script)
    os.kill(rig.pid, signal.SIGKILL)
    rig.wait()
    rig.wait_until(lambda: rig.is_gone(pid), "the parked one's end")
    rig.start()
    daemon = rig.daemon()
    park(rig, daemon, sys.executable, script)
    pid = heard(daemon, "importing")["pid"]
    # Before its exec the kernel does not know yet that it must end with its parent.
    rig.wait_until(lambda: procfs.has_mark(procfs.read_environ(pid) or b"", "SUPERVISOR_PARKED"))
    os.kill(pid, signal.SIGSTOP)
    os.kill(rig.pid, signal.SIGKILL)
    rig.wait()
    rig.wait_until(lambda: rig.is_gone(pid), "the importing one's end")
    rig.start()
    daemon = rig.daemon()
    pid = parked(rig, daemon, sys.executable, script)
    rig.finish(daemon, 75)
    assert rig.is_gone(pid)


def test_it_outlives_the_daemon(rig: Rig) -> None:
    """The next daemon is told of the parked interpreter, and it is used."""
    script = rig.script("train.py", "pass")
    rig.start()
    daemon = rig.daemon()
    pid = parked(rig, daemon, sys.executable, script)
    os.kill(daemon.pid, signal.SIGKILL)
    daemon = rig.daemon()
    told = daemon.hello["parked"]
    assert (told["stage"], told["pid"]) == ("waiting", pid)
    assert told["said"]["modules"] > 0
    started = rig.launch(daemon, sys.executable, script)
    assert (started["pid"], started["launch"]) == (pid, "warm")
    rig.finish(daemon)


# A trainer with every kind of process it may leave: workers by spawn and fork, daemons by double
# fork, with and without an environment, and one in a session of its own.
FAMILY = """\
import multiprocessing, os, subprocess, sys, time

def work():
    with open(f"child-{os.getpid()}", "w") as file:
        file.write("x")
    time.sleep(1000)

if __name__ == "__main__":
    for method in ("fork", "spawn"):
        multiprocessing.get_context(method).Process(target=work).start()
    bare = "import os, time; open(f'child-{os.getpid()}', 'w').write('x'); time.sleep(1000)"
    for environ in ({}, None):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execve(sys.executable, [sys.executable, "-c", bare], environ or {})
            os._exit(0)
        os.wait()
    subprocess.Popen([sys.executable, "-c", bare], start_new_session=True)
    time.sleep(1000)
"""


def test_whatever_a_warm_trainer_started_is_ended_and_the_next_spare_is_not(rig: Rig) -> None:
    """Data-loader workers and daemons are leftovers; the interpreter parked meanwhile is not."""
    script = rig.script("train.py", FAMILY)
    rig.start()
    daemon = rig.daemon()
    first = parked(rig, daemon, sys.executable, script)
    assert rig.launch(daemon, sys.executable, script)["pid"] == first
    spare = parked(rig, daemon, sys.executable, script)
    children = rig.wait_until(
        lambda: len(found := list(rig.folder.glob("child-*"))) >= 5 and found, "five children"
    )
    os.kill(first, signal.SIGKILL)
    assert daemon.expect("exited")["leftovers"] >= 5
    assert all(rig.is_gone(int(path.name.partition("-")[2])) for path in children)
    assert not rig.is_gone(spare)
    assert rig.launch(daemon, sys.executable, script, attempt=2)["pid"] == spare
    rig.finish(daemon)

"""The persister under the launcher: started on order, restarted, spared, and left to finish."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.system import procfs

if TYPE_CHECKING:
    from tests.launcher.conftest import Rig

# Writes its pid to a file, waits for the end of stdin, works on, and then writes `finished`.
PERSISTER = """\
import os, sys, time
directory, work_s = sys.argv[-1], float(sys.argv[1])
number = len([name for name in os.listdir(directory) if name.endswith(".began")])
with open(f"{directory}/tmp", "w") as file:
    file.write(str(os.getpid()))
os.rename(f"{directory}/tmp", f"{directory}/{number}.began")
while os.read(0, 100):
    pass
time.sleep(work_s)
with open(f"{directory}/{number}.finished", "w") as file:
    file.write("x")
"""


def start(rig: Rig, work_s: float = 0.0) -> Path:
    """Start a launcher whose persister is the script; returns its snapshot directory."""
    folder = rig.folder / "snapshots"
    folder.mkdir()
    script = rig.script("persister.py", PERSISTER)
    argv = [sys.executable, "-S", str(script), str(work_s)]
    rig.start("--persister-argv-json", json.dumps(argv))
    return folder


def pid_of(rig: Rig, number: int) -> int:
    """The pid of the persister with that number, once it has begun."""
    return int(rig.wait_for_file(f"snapshots/{number}.began"))


def test_one_is_started_however_often_it_is_ordered(rig: Rig) -> None:
    """A later daemon orders it again; it carries no mark and has its own session.

    Signals to the whole job do not end it.
    """
    folder = start(rig)
    daemon = rig.daemon()
    for _ in range(3):
        daemon.send("persister", directory=str(folder))
    pid = pid_of(rig, 0)
    environ = procfs.read_environ(pid)
    process = procfs.read_process(pid)
    assert environ is not None
    assert process is not None
    assert not procfs.has_mark(environ, procfs.RUN_ID)
    assert not procfs.has_mark(environ, procfs.ATTEMPT)
    assert process.session == pid
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(pid, number)
    daemon.send("persister", directory=str(folder))
    started = rig.launch(daemon, "sleep", "1000")
    assert not rig.is_gone(pid)
    assert len(list(folder.glob("*.began"))) == 1
    daemon.send("kill", attempt=1)
    daemon.expect("exited")
    assert rig.is_gone(started["pid"])
    assert not rig.is_gone(pid)
    rig.finish(daemon)


def test_it_is_no_leftover_of_an_attempt(rig: Rig) -> None:
    """An attempt that ends while the persister works has no leftovers, and ends at once."""
    folder = start(rig)
    daemon = rig.daemon()
    os.mkfifo(rig.folder / "go")
    daemon.send("launch", **rig.request("sh", "-c", "read line < go", attempt=1))
    daemon.expect("started")
    daemon.send("persister", directory=str(folder))
    pid = pid_of(rig, 0)
    (rig.folder / "go").write_text("go\n")
    assert daemon.expect("exited")["leftovers"] == 0
    assert not rig.is_gone(pid)
    rig.finish(daemon)


def test_one_that_dies_is_started_again_and_one_that_is_not_wanted_is_not(rig: Rig) -> None:
    """Killed twice, it comes back; told to finish, it finishes, and no other starts."""
    folder = start(rig)
    daemon = rig.daemon()
    daemon.send("persister", directory=str(folder))
    for number in range(2):
        os.kill(pid_of(rig, number), signal.SIGKILL)
    last = pid_of(rig, 2)
    daemon.send("persister", directory=None)
    rig.wait_for_file("snapshots/2.finished")
    rig.wait_until(lambda: rig.is_gone(last), "its end")
    rig.launch(daemon, "true")
    daemon.expect("exited")
    assert len(list(folder.glob("*.began"))) == 3
    rig.finish(daemon)


def test_it_is_waited_for_at_the_end(rig: Rig) -> None:
    """The end of its stdin comes with the launcher's end; it finishes its work first."""
    folder = start(rig, work_s=0.7)
    daemon = rig.daemon()
    daemon.send("persister", directory=str(folder))
    pid = pid_of(rig, 0)
    rig.finish(daemon, 75)
    assert (folder / "0.finished").exists()
    assert rig.is_gone(pid)


def test_one_that_does_not_finish_is_ended_with_the_launcher(rig: Rig) -> None:
    """The daemon orders how long the launcher may wait for it; then it is killed."""
    folder = start(rig, work_s=1000.0)
    daemon = rig.daemon()
    daemon.send("persister", directory=str(folder))
    pid = pid_of(rig, 0)
    daemon.send("persister", directory=None, patience_s=0.3)
    begun = time.monotonic()
    rig.finish(daemon, 75)
    assert time.monotonic() - begun < 30
    assert rig.is_gone(pid)


def test_it_survives_daemon_and_launcher_and_finishes(rig: Rig) -> None:
    """A killed daemon changes nothing; a killed launcher makes it finish by itself."""
    folder = start(rig)
    daemon = rig.daemon()
    daemon.send("persister", directory=str(folder))
    pid = pid_of(rig, 0)
    os.kill(daemon.pid, signal.SIGKILL)
    rig.daemon().send("persister", directory=str(folder))
    assert not rig.is_gone(pid)
    assert not (folder / "0.finished").exists()
    os.kill(rig.pid, signal.SIGKILL)
    rig.wait_for_file("snapshots/0.finished")
    rig.wait_until(lambda: rig.is_gone(pid), "its end")
    assert len(list(folder.glob("*.began"))) == 1


def test_a_directory_that_is_not_there_is_waited_for(rig: Rig) -> None:
    """Its directory has vanished: it is started once the directory is there again."""
    folder = start(rig)
    daemon = rig.daemon()
    folder.rename(rig.folder / "gone")
    daemon.send("persister", directory=str(folder))
    rig.launch(daemon, "true")
    daemon.expect("exited")
    assert procfs.children(rig.pid) == [daemon.pid]
    folder.mkdir()
    pid = pid_of(rig, 0)
    assert not rig.is_gone(pid)
    rig.finish(daemon)

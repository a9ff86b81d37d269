"""The root process: its end, its death, its size, and its life as PID 1."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.system import procfs

if TYPE_CHECKING:
    from tests.launcher.conftest import Rig


def cpu_ticks(pid: int) -> int:
    """User and system clock ticks that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


def work_of(pid: int) -> tuple[int, str]:
    """A process's clock ticks, and its number of voluntary context switches."""
    status = Path(f"/proc/{pid}/status").read_text()
    return cpu_ticks(pid), status.partition("\nvoluntary_ctxt_switches:")[2].split()[0]


def is_idle_for(pid: int, seconds: float) -> bool:
    """Whether a process uses no CPU and does not wake for so long."""
    before = work_of(pid)
    time.sleep(seconds)
    return work_of(pid) == before


def test_exit_ends_everything_and_gives_the_code(rig: Rig) -> None:
    """A living attempt is killed and its end reported; then the launcher ends."""
    rig.start()
    daemon = rig.daemon()
    started = rig.launch(daemon, "sh", "-c", "sleep 1000 & exec sleep 1000")
    daemon.send("exit", code=75)
    daemon.expect("exited")
    assert rig.wait() == 75
    assert rig.is_gone(started["pid"])
    rig.wait_until(lambda: rig.is_gone(daemon.pid), "the daemon's end")


def test_a_stubborn_daemon_is_killed_after_two_seconds(rig: Rig) -> None:
    """A daemon that sent "exit" and does not end is killed, whatever happens to its socket."""
    script = rig.script(
        "stubborn.py",
        """\
import os, sys, time
fd = int(sys.argv[1])
os.read(fd, 4096)
os.write(fd, b'{"do":"exit","code":69}\\n')
time.sleep(1000)
""",
    )
    begin = time.monotonic()
    rig.start(daemon_argv=[sys.executable, "-S", str(script), "{socket_fd}"])
    assert rig.wait() == 69
    assert 1.9 < time.monotonic() - begin < 30


def test_the_view_is_left_alone_by_ctrl_c_and_asked_to_draw_the_last_state(rig: Rig) -> None:
    """The view has the same session, ignores SIGINT, and has time to act on its SIGTERM."""
    view = rig.script(
        "view.py",
        """\
import os, signal, sys, time
def last(number, frame):
    time.sleep(0.3)
    open("view.last", "w").write("drawn")
    sys.exit(0)
signal.signal(signal.SIGTERM, last)
text = f"{os.getpid()} {os.getsid(0)} {signal.getsignal(signal.SIGINT) == signal.SIG_IGN}"
open("view.tmp", "w").write(text)
os.rename("view.tmp", "view.ready")
while True: time.sleep(0.01)
""",
    )
    rig.start("--view", "live", "--view-argv-json", f'["{sys.executable}", "{view}"]')
    daemon = rig.daemon()
    pid, session, ignores = rig.wait_for_file("view.ready").split()
    assert int(session) == os.getsid(rig.pid)
    assert ignores == "True"
    # An attempt's end does not take the view with it.
    rig.launch(daemon, "sh", "-c", "sleep 1000 & exit 0")
    assert daemon.expect("exited")["leftovers"] == 1
    assert not rig.is_gone(int(pid))
    rig.finish(daemon, 0)
    assert (rig.folder / "view.last").read_text() == "drawn"
    assert rig.is_gone(int(pid))


def test_a_killed_launcher_takes_nobody_by_surprise(rig: Rig, saver: Path) -> None:
    """SIGKILL of the launcher: the trainer gets SIGTERM and saves, the daemon sees the end."""
    rig.start()
    daemon = rig.daemon()
    started = rig.launch(daemon, sys.executable, saver, "main", "0.1")
    rig.wait_for_file("main.ready")
    os.kill(rig.pid, signal.SIGKILL)
    rig.wait()
    assert rig.wait_for_file("main.saved") == "1"
    rig.wait_until(lambda: rig.is_gone(started["pid"]), "the trainer's end")
    assert daemon.connection.recv(1) == b""


def test_it_is_small_and_idle(rig: Rig) -> None:
    """At most 18 MB resident with an attempt running, and no CPU while nothing happens."""
    rig.start()
    daemon = rig.daemon()
    rig.launch(daemon, "sleep", "1000")
    rig.wait_until(lambda: is_idle_for(rig.pid, 1.5), "a moment without any work")
    status = Path(f"/proc/{rig.pid}/status").read_text()
    assert int(status.partition("VmRSS:")[2].split()[0]) <= 18 << 10


def test_many_attempts_leave_no_descriptor_and_no_memory(rig: Rig) -> None:
    """Launches, failed launches, orphans and restarts of the daemon leak nothing."""
    rig.start()
    daemon = rig.daemon()

    def some_life(first: int) -> None:
        for attempt in range(first, first + 20):
            rig.launch(daemon, "sh", "-c", "sleep 1000 & exit 0", attempt=attempt)
            daemon.expect("exited")
            daemon.send("launch", **rig.request("no-such", attempt=attempt))
            daemon.expect("start_failed")

    some_life(1)
    descriptors = len(os.listdir(f"/proc/{rig.pid}/fd"))
    os.kill(daemon.pid, signal.SIGKILL)
    daemon = rig.daemon()
    some_life(100)
    rig.wait_until(lambda: procfs.children(rig.pid) == [daemon.pid], "all to be reaped")
    assert len(os.listdir(f"/proc/{rig.pid}/fd")) == descriptors
    rss = Path(f"/proc/{rig.pid}/status").read_text().partition("VmRSS:")[2]
    assert int(rss.split()[0]) <= 18 << 10


def test_a_stopped_terminal_does_not_block_it(rig: Rig) -> None:
    """stderr is a full pipe without a reader: the line is dropped, the work goes on."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    while os.write(write_fd, b"x" * (1 << 20)) == 1 << 20:
        pass
    os.set_blocking(write_fd, True)
    rig.start(prefix=("bash", "-c", f'exec "$0" "$@" 2>&{write_fd}'), pass_fds=[write_fd])
    daemon = rig.daemon()
    os.kill(daemon.pid, signal.SIGKILL)
    daemon = rig.daemon()
    rig.launch(daemon, "true")
    daemon.expect("exited")
    rig.finish(daemon)
    os.close(read_fd)
    os.close(write_fd)


def test_without_descriptors_it_goes_on(rig: Rig) -> None:
    """EMFILE everywhere: launches fail, a daemon is started later, and no process dies."""
    rig.start()
    daemon = rig.daemon()
    started = rig.launch(daemon, "sleep", "1000")
    old = resource.prlimit(rig.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(rig.pid, resource.RLIMIT_NOFILE, (3, old[1]))
    daemon.send("stop", attempt=1, signal=15)
    os.kill(started["pid"], signal.SIGKILL)
    rig.wait_until(lambda: "internal error" in rig.stderr.read_text(), "an error")
    daemon.send("launch", **rig.request("touch", "launched", attempt=2))
    assert daemon.expect("start_failed")["attempt"] == 2
    os.kill(daemon.pid, signal.SIGKILL)
    rig.wait_until(lambda: "socket" in rig.stderr.read_text(), "a daemon that cannot start")
    resource.prlimit(rig.pid, resource.RLIMIT_NOFILE, old)
    daemon = rig.daemon()
    if daemon.hello["attempt"] is not None:
        daemon.expect("exited")
    else:
        assert daemon.hello["last_exit"]["attempt"] == 1
    rig.launch(daemon, "true", attempt=3)
    daemon.expect("exited")
    assert not (rig.folder / "launched").exists()
    rig.finish(daemon)


@pytest.mark.root
def test_as_pid_1_it_works_alike(rig: Rig) -> None:
    """As PID 1 of a namespace the launcher also launches, reaps orphans, stops and exits."""
    probe = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no PID namespaces here")
    # Without setsid or an init the launcher is the namespace's first process.
    rig.start(prefix=("unshare", "--pid", "--fork", "--mount-proc", "--kill-child"))
    daemon = rig.daemon()
    assert daemon.hello["launcher_pid"] == 1
    [inner] = procfs.children(rig.pid) or []
    # Like `docker exec`: a process from outside is orphaned to PID 1.
    text = "sleep 1001 & exit 0"
    subprocess.run(["nsenter", "-t", str(inner), "-p", "-m", "sh", "-c", text], check=True)
    started = rig.launch(
        daemon, "sh", "-c", "trap 'exit 75' TERM; echo > up; while :; do sleep .05; done"
    )
    assert started["pid"] > 1
    rig.wait_until(lambda: (rig.folder / "up").exists(), "up")
    late = subprocess.run(["nsenter", "-t", str(inner), "-p", "-m", "sh", "-c", text], check=True)
    assert late.returncode == 0
    os.kill(inner, signal.SIGTERM)
    assert daemon.expect("signal")["signal"] == "TERM"
    daemon.send("stop", attempt=1, signal=15)
    exited = daemon.expect("exited")
    assert (exited["code"], exited["leftovers"]) == (75, 0)
    strangers = subprocess.run(
        ["nsenter", "-t", str(inner), "-p", "-m", "pgrep", "-fc", "sleep 1001"],
        capture_output=True,
        check=False,
    )
    assert strangers.stdout.strip() == b"2"
    rig.launch(daemon, "sh", "-c", "sleep 1000 & exit 0", attempt=2)
    assert daemon.expect("exited")["leftovers"] == 1
    daemon.send("exit", code=75)
    assert rig.wait() == 75

"""A stop goes to the main process, then to the ranks, never to processes that only serve them."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

from supervisor.system import identity

if TYPE_CHECKING:
    from pathlib import Path

    from tests.launcher.conftest import Rig

# The data-loader worker of these tests notes a SIGTERM in a file.
LOADER = """\
import os, signal, time
def told(number, frame):
    open("loader.got-signal", "w").write(str(number))
signal.signal(signal.SIGTERM, told)
signal.signal(signal.SIGCONT, signal.SIG_DFL)
open("loader.tmp", "w").write(str(os.getpid()))
os.rename("loader.tmp", "loader.ready")
while True:
    time.sleep(0.01)
"""


def test_a_python_trainer_saves_and_its_loader_is_left_alone(rig: Rig, saver: Path) -> None:
    """SIGTERM reaches the trainer once; its worker, of the same group, never sees it."""
    rig.script("loader.py", LOADER)
    text = "import subprocess, sys\nsubprocess.Popen([sys.executable, 'loader.py'])\n"
    main = rig.script("main.py", text + saver.read_text())
    rig.start()
    daemon = rig.daemon()
    rig.launch(daemon, sys.executable, main, "main", "0.3")
    rig.wait_for_file("main.ready")
    loader = int(rig.wait_for_file("loader.ready"))
    for _ in range(3):
        daemon.send("stop", attempt=1, signal=15)
    ended = daemon.expect("main_exited")
    assert ended["code"] == 75
    # The worker ignored the trainer's end, as a hung one would, so only SIGKILL ends it. Here the
    # launcher guesses that the oldest survivor trains.
    daemon.send("kill", attempt=1)
    exited = daemon.expect("exited")
    assert exited["code"] == 75
    assert exited["leftovers"] == 1
    assert rig.is_gone(loader)
    assert rig.wait_for_file("main.saved") == "1"


def test_a_loader_of_a_rank_never_gets_sigterm(rig: Rig, saver: Path) -> None:
    """A rank with LOCAL_RANK: its child is known to be no rank, and is killed after the save."""
    rig.script("loader.py", LOADER)
    text = "import subprocess, sys\nsubprocess.Popen([sys.executable, 'loader.py'])\n"
    rank = rig.script("rank.py", text + saver.read_text())
    script = rig.script(
        "run.sh", f"#!/bin/bash\nLOCAL_RANK=0 {sys.executable} {rank} rank 0.3\necho unreachable\n"
    )
    rig.start()
    daemon = rig.daemon()
    rig.launch(daemon, script)
    rig.wait_for_file("rank.ready")
    rig.wait_for_file("loader.ready")
    daemon.send("stop", attempt=1, signal=15)
    exited = daemon.expect("exited")
    assert rig.wait_for_file("rank.saved") == "1"
    assert exited["signal"] == 15
    assert exited["leftovers"] == 1
    assert not (rig.folder / "loader.got-signal").exists()


def test_bash_dies_of_a_stop_and_its_python_child_saves(rig: Rig, saver: Path) -> None:
    """A shell script passes no signal on: the survivor gets it, and the time to save."""
    script = rig.script("run.sh", f"#!/bin/bash\n{sys.executable} {saver} child 0.5\necho done\n")
    rig.start()
    daemon = rig.daemon()
    rig.launch(daemon, "bash", script)
    child = int(rig.wait_for_file("child.ready"))
    daemon.send("stop", attempt=1, signal=15)
    assert daemon.expect("main_exited")["signal"] == 15
    exited = daemon.expect("exited")
    assert (exited["code"], exited["signal"], exited["leftovers"]) == (None, 15, 0)
    assert rig.wait_for_file("child.saved") == "1"
    assert rig.is_gone(child)


def test_the_ranks_of_a_launcher_that_dies_at_once_are_stopped(rig: Rig, saver: Path) -> None:
    """`accelerate launch` and `deepspeed` die of SIGTERM; each rank (LOCAL_RANK) is told once."""
    launcher = rig.script(
        "launcher.py",
        f"""\
import os, subprocess, sys
for rank in range(2):
    env = dict(os.environ, LOCAL_RANK=str(rank))
    subprocess.Popen([sys.executable, {str(saver)!r}, f"rank{{rank}}", "0.5"], env=env,
                     start_new_session=True)
import signal
signal.pause()
""",
    )
    rig.start()
    daemon = rig.daemon()
    rig.launch(daemon, sys.executable, launcher)
    for rank in ("rank0", "rank1"):
        rig.wait_for_file(f"{rank}.ready")
    daemon.send("stop", attempt=1, signal=15)
    daemon.expect("main_exited")
    exited = daemon.expect("exited")
    assert exited["leftovers"] == 0
    for rank in ("rank0", "rank1"):
        assert (rig.folder / f"{rank}.saved").read_text() == "1"


def test_attached_processes_are_the_ranks(rig: Rig, saver: Path) -> None:
    """A heartbeat page counts more than age: the older bystander is not told, but ended later."""
    rig.script("loader.py", LOADER)
    hearts = rig.folder / "hearts"
    hearts.mkdir()
    script = rig.script(
        "run.sh",
        f"#!/bin/bash\n{sys.executable} loader.py &\n"
        "while [ ! -e loader.ready ]; do sleep .01; done\n"
        f"sleep .05\n{sys.executable} {saver} child 0.3\necho done\n",
    )
    rig.start()
    daemon = rig.daemon()
    env = {"SUPERVISOR_HEARTBEAT": str(hearts)}
    rig.launch(daemon, script, env=env)
    child = identity.identify(int(rig.wait_for_file("child.ready")))
    assert child is not None
    head = struct.pack("<4sIIIIIQ", b"TSHB", 1, child.pid, 0, 1, 0, child.start_ticks)
    (hearts / "rank-0").write_bytes(head.ljust(4096, b"\0"))
    (hearts / "rank-1").write_bytes(b"garbage")
    (hearts / "rank-2").write_bytes(b"TSHB" + b"\xff" * 60)
    daemon.send("stop", attempt=1, signal=15)
    exited = daemon.expect("exited")
    assert exited["leftovers"] == 1
    assert rig.wait_for_file("child.saved") == "1"
    assert not (rig.folder / "loader.got-signal").exists()


def test_when_the_attached_main_has_ended_nobody_else_is_asked(rig: Rig, saver: Path) -> None:
    """The trainer had a page and has saved: its hung worker is killed at once."""
    rig.script("loader.py", LOADER)
    hearts = rig.folder / "hearts"
    hearts.mkdir()
    text = "import subprocess, sys\nsubprocess.Popen([sys.executable, 'loader.py'])\n"
    main = rig.script("main.py", text + saver.read_text())
    rig.start()
    daemon = rig.daemon()
    env = {"SUPERVISOR_HEARTBEAT": str(hearts)}
    started = rig.launch(daemon, sys.executable, main, "main", "0.1", env=env)
    rig.wait_for_file("main.ready")
    rig.wait_for_file("loader.ready")
    fields = (b"TSHB", 1, started["pid"], 0, 1, 0, started["start_ticks"])
    (hearts / "rank-0").write_bytes(struct.pack("<4sIIIIIQ", *fields).ljust(4096, b"\0"))
    daemon.send("stop", attempt=1, signal=15)
    exited = daemon.expect("exited")
    assert (exited["code"], exited["leftovers"]) == (75, 1)
    assert not (rig.folder / "loader.got-signal").exists()


def test_a_trainer_stopped_by_a_signal_can_still_save(rig: Rig, saver: Path) -> None:
    """The trainer is in SIGSTOP: its SIGTERM is followed by SIGCONT."""
    rig.start()
    daemon = rig.daemon()
    started = rig.launch(daemon, sys.executable, saver, "main", "0")
    rig.wait_for_file("main.ready")
    os.kill(started["pid"], signal.SIGSTOP)
    daemon.send("stop", attempt=1, signal=15)
    assert daemon.expect("exited")["code"] == 75
    assert rig.wait_for_file("main.saved") == "1"


def test_a_rank_stopped_by_a_signal_under_its_launcher_can_still_save(
    rig: Rig, saver: Path
) -> None:
    """A launch script that passes SIGTERM on does not continue its ranks: the launcher does."""
    launcher = rig.script(
        "launcher.py",
        f"""\
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, {str(saver)!r}, "rank", "0"])
signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())
sys.exit(child.wait())
""",
    )
    rig.start()
    daemon = rig.daemon()
    rig.launch(daemon, sys.executable, launcher)
    rank = int(rig.wait_for_file("rank.ready"))
    os.kill(rank, signal.SIGSTOP)
    rig.wait_until(lambda: (identity.read_stat(rank) or ("", [b""]))[1][0] == b"T", "state T")
    daemon.send("stop", attempt=1, signal=15)
    # SIGCONT comes before or after SIGTERM; either way the rank saves.
    assert daemon.expect("exited")["code"] == 75


def test_sigterm_ignored_then_killed(rig: Rig) -> None:
    """No process is killed without the order; with it every process is."""
    rig.start()
    daemon = rig.daemon()
    # exec, so that no child survives
    started = rig.launch(daemon, "sh", "-c", "trap '' TERM; echo > ready; exec sleep 1000")
    rig.wait_until(lambda: (rig.folder / "ready").exists(), "ready")
    daemon.send("stop", attempt=1, signal=15)
    assert daemon.is_silent(0.5)
    assert not rig.is_gone(started["pid"])
    daemon.send("kill", attempt=1)
    exited = daemon.expect("exited")
    assert (exited["signal"], exited["leftovers"]) == (9, 0)


def test_a_signal_goes_to_pids_of_the_attempt_only(rig: Rig, saver: Path) -> None:
    """A request for stacks signals no pid outside the attempt."""
    stranger = subprocess.Popen(["sleep", "1000"])
    text = """\
import os, signal, time
signal.signal(signal.SIGUSR2, lambda n, f: open("dumped", "w").write("yes"))
open("ready", "w").write("1")
while True: time.sleep(0.01)
"""
    script = rig.script("main.py", text)
    rig.start()
    daemon = rig.daemon()
    started = rig.launch(daemon, sys.executable, script)
    rig.wait_for_file("ready")
    pids = [started["pid"], stranger.pid, daemon.pid, rig.pid, os.getpid()]
    daemon.send("signal", attempt=1, signal=int(signal.SIGUSR2), pids=pids)
    assert rig.wait_for_file("dumped") == "yes"
    assert stranger.poll() is None
    assert not rig.is_gone(daemon.pid)
    stranger.kill()
    stranger.wait()


def test_a_signal_to_the_whole_job_does_not_cost_the_ranks_their_save(
    rig: Rig, saver: Path
) -> None:
    """systemd and scancel signal every process: bash is gone before the daemon orders the stop."""
    script = rig.script("run.sh", f"#!/bin/bash\n{sys.executable} {saver} child 1\necho done\n")
    rig.start()
    daemon = rig.daemon()
    started = rig.launch(daemon, "bash", script)
    child = int(rig.wait_for_file("child.ready"))
    for pid in (started["pid"], child, rig.pid):
        os.kill(pid, signal.SIGTERM)
    assert daemon.expect("signal")["signal"] == "TERM"
    daemon.send("stop", attempt=1, signal=15)
    exited = daemon.expect("exited")
    assert exited["signal"] == 15
    assert rig.wait_for_file("child.saved") in ("1", "2")


def test_a_stop_for_another_attempt_does_nothing(rig: Rig, saver: Path) -> None:
    """A late order for an ended attempt does not hit its successor."""
    rig.start()
    daemon = rig.daemon()
    rig.launch(daemon, "true", attempt=1)
    daemon.expect("exited")
    started = rig.launch(daemon, "sleep", "1000", attempt=2)
    daemon.send("stop", attempt=1, signal=15)
    daemon.send("kill", attempt=1)
    assert daemon.is_silent(0.3)
    assert not rig.is_gone(started["pid"])

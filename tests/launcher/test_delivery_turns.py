"""The order of a stop: ranks, the main process, late ranks; also by old daemons or by none."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from supervisor.launcher.stop_delivery import StopDelivery, main_due_after
from supervisor.launcher.termination import Survivors
from supervisor.system import identity
from tests.launcher.attached_rank import PYTHON, RANK, A, began, launch, stop
from tests.launcher.old_page import OLD_WORKER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.launcher.conftest import Rig


def test_a_worker_of_an_earlier_version_has_the_signal(rig: Rig) -> None:
    """It never reads the page's byte; under a shell the signal reaches it all the same."""
    script = rig.script("old.py", OLD_WORKER)
    daemon = began(rig, "bash", "-c", f"{PYTHON} {script} a 0.4; touch next")
    stop(daemon)
    assert float(rig.wait_for_file("a.saved"))
    assert not (rig.folder / "next").exists()


def test_a_handler_of_the_scripts_own_is_called(rig: Rig) -> None:
    """The script set its handler after attach(): a rank with a page gets the signal, too."""
    own = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: note('handled', '1'))\n"
    script = rig.script("own.py", RANK.replace("while not", own + "while not", 1))
    daemon = began(rig, "bash", "-c", f"{PYTHON} {script} a 0.2; true")
    stop(daemon)
    assert rig.wait_for_file("a.handled") == "1"
    assert float(rig.wait_for_file("a.saved"))


def test_a_rank_that_would_die_of_the_signal_saves_by_the_page(rig: Rig) -> None:
    """A library removed the handler: a rank that reads the page needs no signal."""
    out = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
    script = rig.script("bare.py", RANK.replace("while not", out + "while not", 1))
    daemon = began(rig, PYTHON, script, "a", "0.2")
    assert stop(daemon)["code"] == 75
    assert float(rig.wait_for_file("a.saved"))


def test_a_rank_that_attaches_after_the_stop_saves(rig: Rig) -> None:
    """The page is written again at each look, so a late rank is told."""
    text = f"""\
import os, signal, subprocess, time
signal.signal(signal.SIGTERM, lambda *_: open("told", "w").close())
while not os.path.exists("told"): time.sleep(0.01)
subprocess.run([{PYTHON!r}, "rank.py", "a", "0.2"])
"""
    daemon = began(rig, PYTHON, rig.script("late.py", text), ready=())
    rig.wait_until(lambda: daemon.is_silent(0.3), "the handler")
    stop(daemon)
    assert float(rig.wait_for_file("a.saved"))


def test_a_stopped_rank_under_a_shell_saves(rig: Rig) -> None:
    """SIGSTOP hit the rank and its shell: both are continued, each in its turn."""
    daemon = began(rig, "bash", "-c", f"{A}; touch next")
    rank = int((rig.folder / "a.ready").read_text())
    main = int(identity.read_stat(rank)[1][1])  # type: ignore[index]
    for pid in (main, rank):
        os.kill(pid, signal.SIGSTOP)
        rig.wait_until(lambda p=pid: identity.read_stat(p)[1][0] == b"T", "state T")
    stop(daemon)
    assert float(rig.wait_for_file("a.saved"))
    assert not (rig.folder / "next").exists()


def test_main_has_its_signal_in_time_where_a_rank_does_not_end(rig: Rig) -> None:
    """The shell's own handler gets a quarter of the grace, though the rank still saves."""
    text = f"trap 'touch trapped; kill -9 $P; exit 3' TERM; {PYTHON} rank.py a 600 & P=$!; wait $P"
    daemon = began(rig, "bash", "-c", text)
    exited = stop(daemon, grace_s=2.0)
    assert exited["code"] == 3
    assert not (rig.folder / "a.saved").exists()


@pytest.mark.parametrize(
    ("grace_s", "due_s"), [(8.0, 6.0), (120.0, 110.0), (40.0, 30.0), (0.0, 0.0)]
)
def test_when_main_is_due(grace_s: float, due_s: float) -> None:
    """The main process is due when ten seconds of the grace are left, or a quarter if less."""
    assert main_due_after(grace_s) == due_s


def test_a_repeat_with_less_time_counts(rig: Rig) -> None:
    """A scheduler shortens the grace: the main process's turn comes earlier."""
    text = f"trap 'kill -9 $P; exit 3' TERM; {PYTHON} rank.py a 600 & P=$!; wait $P"
    daemon = began(rig, "bash", "-c", text)
    daemon.send("stop", attempt=1, signal=15, grace_s=600.0)
    assert daemon.is_silent(0.5)
    assert stop(daemon, grace_s=0.5)["code"] == 3


def test_a_hang_is_told_to_all_at_once(rig: Rig) -> None:
    """For a hang, main and ranks are asked at once; the signal never goes to the group."""
    loader = "trap 'touch loader.told' TERM; while :; do sleep 0.05; done"
    text = f"trap 'touch trapped' TERM; bash -c \"{loader}\" & {PYTHON} rank.py a 600 & wait; wait"
    daemon = began(rig, "bash", "-c", text)
    daemon.send("stop", attempt=1, signal=15, grace_s=60.0, is_hang=True)
    rig.wait_until(lambda: (rig.folder / "trapped").exists(), "the shell's turn")
    assert (rig.folder / "hearts" / "rank-0").read_bytes()[46] == 1
    daemon.send("kill", attempt=1)
    daemon.expect("exited")
    assert not (rig.folder / "loader.told").exists()


def test_ranks_that_are_not_attached_hear_of_it_from_main_at_once(rig: Rig) -> None:
    """LOCAL_WORLD_SIZE is two, but one rank has a page: main is told at once and signals both."""
    text = f"""\
import os, signal, subprocess, sys
children = [subprocess.Popen([{PYTHON!r}, name, "a" if name == "rank.py" else "b", "0.2"])
            for name in ("rank.py", "saver.py")]
signal.signal(signal.SIGTERM, lambda *_: [child.terminate() for child in children])
[child.wait() for child in children]
"""
    rig.script("saver.py", OLD_WORKER.replace("attached = True", "attached = False"))
    script = rig.script("main.py", text)
    daemon = began(rig, PYTHON, script, ready=("a", "b"), LOCAL_WORLD_SIZE="2")
    stop(daemon)
    assert float(rig.wait_for_file("a.saved"))
    assert float(rig.wait_for_file("b.saved"))


def test_an_order_of_an_older_daemon_is_obeyed(rig: Rig) -> None:
    """The order has neither a grace nor the kind of the stop."""
    daemon = began(rig, "bash", "-c", f"{A}; touch next", SUPERVISOR_GRACE_S="30")
    daemon.send("stop", attempt=1, signal=15)
    daemon.expect("exited", timeout_s=30)
    assert float(rig.wait_for_file("a.saved"))


def test_the_launcher_alone_delivers_a_stop(rig: Rig) -> None:
    """No daemon starts: a rank under a shell saves, and the exit code is 75."""
    marker = rig.folder / "no-more-daemons"
    relay = rig.script("sometimes.sh", f'#!/bin/sh\n[ -e {marker} ] && exit 9\nexec "$@"\n')
    rig.script("rank.py", RANK)
    rig.start(daemon_argv=[str(relay), *rig.relay_argv()])
    daemon = rig.daemon()
    launch(rig, daemon, "bash", "-c", f"trap 'touch trapped' EXIT; {A}", SUPERVISOR_GRACE_S="60")
    rig.wait_for_file("a.ready")
    marker.touch()
    os.kill(daemon.pid, signal.SIGKILL)
    rig.wait_until(lambda: "SIGKILL" in rig.stderr.read_text(), "the death to be noticed")
    os.kill(rig.pid, signal.SIGTERM)
    assert rig.wait() == 75
    assert float(rig.wait_for_file("a.saved"))
    assert (rig.folder / "trapped").exists()


def test_a_main_process_that_proc_hides_is_told_once(rig: Rig, saver: Path) -> None:
    """Mount options of /proc hide another account's processes; main's identity is known."""
    child = subprocess.Popen([PYTHON, saver, "main", "0.3"], cwd=rig.folder)
    rig.wait_for_file("main.ready")
    delivery = StopDelivery(signal.SIGTERM, identity.identify(child.pid), None)
    for _ in range(5):
        delivery.look([], main_lives=True)
        time.sleep(0.03)
    assert child.wait(30) == 75
    assert rig.wait_for_file("main.saved") == "1"


def test_pages_are_written_and_never_made(rig: Rig) -> None:
    """Files that are not pages stay as they are; a page of an unknown process is written, too."""
    daemon = began(rig, "bash", "-c", A + "; true")
    hearts = rig.folder / "hearts"
    shutil.copy(hearts / "rank-0", hearts / "rank-7")
    with (hearts / "rank-7").open("r+b") as page:
        page.seek(8)
        page.write(b"\xff\xff\xff\x7f")  # a pid that is nobody's
    (hearts / "rank-1").write_bytes(b"garbage")
    (hearts / "rank-2").write_bytes(b"TSHB" + b"\0" * 300)
    (hearts / "rank-3").symlink_to(rig.folder / "elsewhere")
    (hearts / "rank-4").mkdir()
    os.mkfifo(hearts / "rank-5")
    stop(daemon)
    assert (hearts / "rank-7").read_bytes()[46] == 1
    assert (hearts / "rank-1").read_bytes() == b"garbage"
    assert (hearts / "rank-2").read_bytes() == b"TSHB" + b"\0" * 300
    assert not (rig.folder / "elsewhere").exists()


# While it saves, the rank prints or reads more than a pipe holds.
TALKS = RANK.replace("time.sleep(save_s)", "print('x' * 300_000, flush=True)")
LISTENS = RANK.replace("time.sleep(save_s)", "sys.stdin.read(300_000)")


@pytest.mark.parametrize(
    ("rank", "text"),
    [
        (TALKS, "said=$({python} rank.py a 0 | tee log); touch next"),
        (TALKS, "shopt -s lastpipe; {python} rank.py a 0 | while read -r x; do :; done; true"),
        (
            LISTENS,
            "coproc {python} rank.py a 0; while printf %999d 1 >&${{COPROC[1]}}; do :; done",
        ),
    ],
    ids=["substitution", "lastpipe", "coprocess"],
)
def test_a_shell_that_a_rank_needs_goes_on(rig: Rig, rank: str, text: str) -> None:
    """The shell that reads a rank's output goes on; if it stopped, the rank would hang."""
    rig.script("rank.py", rank)
    rig.start()
    daemon = rig.daemon()
    launch(rig, daemon, "bash", "-c", text.format(python=PYTHON))
    rig.wait_for_file("a.ready")
    daemon.send("stop", attempt=1, signal=15, grace_s=60.0)
    daemon.expect("exited", timeout_s=20)
    assert float(rig.wait_for_file("a.saved"))


def test_a_shell_that_has_all_output_copied_stands_still(rig: Rig) -> None:
    """With `exec > >(tee log)` the rank and tee need no shell, and it begins no next command."""
    daemon = began(rig, "bash", "-c", f"exec > >(tee log) 2>&1; {A}; touch next")
    stop(daemon)
    assert float(rig.wait_for_file("a.saved"))
    assert not (rig.folder / "next").exists()


def test_the_daemon_lets_the_shell_of_a_dead_launcher_go_on(rig: Rig) -> None:
    """The launcher is killed while the shell is stopped: the daemon tells it in its turn."""
    daemon = began(rig, "bash", "-c", f"{PYTHON} rank.py a 1; touch next; sleep 600")
    rank = int((rig.folder / "a.ready").read_text())
    main = int(identity.read_stat(rank)[1][1])  # type: ignore[index]
    daemon.send("stop", attempt=1, signal=15, grace_s=60.0)
    rig.wait_until(lambda: identity.read_stat(main)[1][0] == b"T", "the shell to stand still")  # type: ignore[index]
    assert rig.process is not None
    rig.process.kill()
    rig.process.wait()
    hearts = str(rig.folder / "hearts")
    left = Survivors(rig.run_id, 1, heartbeat_dir=hearts, main=identity.identify(main))
    left.stop(signal.SIGTERM, 60.0)
    deadline = time.monotonic() + 30
    while left.advance() and time.monotonic() < deadline:
        time.sleep(left.pause_s)
    assert rig.is_gone(main)
    assert float(rig.wait_for_file("a.saved"))
    assert not (rig.folder / "next").exists()

"""A stop reaches ranks under whatever started them, and what comes after them does not begin."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from supervisor import identity
from supervisor.launcher.delivery import main_due_after
from tests.launcher.old_page import OLD_WORKER

if TYPE_CHECKING:
    from tests.launcher.conftest import Daemon, Rig

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable

# A rank as training scripts are: it saves for some seconds, and says so in files.
RANK = """\
import os, sys, time
from supervisor.worker import attach
name, save_s = sys.argv[1], float(sys.argv[2])
run, step = attach(), 0
def note(what, text):
    open(f"{name}.{what}.tmp", "w").write(text)
    os.rename(f"{name}.{what}.tmp", f"{name}.{what}")
while not run.should_stop:
    step += 1
    time.sleep(0.01)
    run.beat(step=step)
    if step == 3:
        note("ready", str(os.getpid()))
time.sleep(save_s)
note("saved", str(time.monotonic()))
run.exit_preempted(step=step)
"""


def launch(rig: Rig, daemon: Daemon, *argv: str | Path, **env: str) -> dict[str, Any]:
    """Launch with a directory for heartbeat pages."""
    hearts = rig.folder / "hearts"
    hearts.mkdir(exist_ok=True)
    given = {"SUPERVISOR_HEARTBEAT": str(hearts), "PYTHONPATH": str(ROOT), **env}
    return rig.launch(daemon, *argv, env=given)


def began(rig: Rig, *argv: str | Path, ready: tuple[str, ...] = ("a",), **env: str) -> Daemon:
    """Start a launcher and a command in which these ranks train."""
    rig.script("rank.py", RANK)
    rig.start()
    daemon = rig.daemon()
    launch(rig, daemon, *argv, **env)
    for name in ready:
        rig.wait_for_file(f"{name}.ready")
    return daemon


def stop(daemon: Daemon, **more: Any) -> dict[str, Any]:
    """Ask for a stop, and return how the attempt ended."""
    daemon.send("stop", attempt=1, signal=15, **{"grace_s": 60.0, **more})
    return daemon.expect("exited", timeout_s=30)


A = f"{PYTHON} rank.py a 0.4"
WRAPPERS = {
    "a trap": f"trap 'touch trapped; exit 143' TERM; {A}; touch next",
    "a trap on EXIT": f"trap 'touch trapped' EXIT; {A}",
    "a trap and wait": f"trap 'touch trapped; kill -9 $P' TERM; {A} & P=$!; wait $P; wait $P",
    "in the background": f"{A} & wait",
    "one after another": f"{A}; touch next; sleep 600",
    "after each other, well": f"{A} && touch next; sleep 600",
    "a script in a script": f"bash -c '{A}; touch next'; touch next",
    "a subshell": f"( {A}; touch next ); touch next",
    "a pipe": f"{A} 2>&1 | cat; touch next",
    "exec": f"exec {A}",
    "timeout": f"exec timeout 1h {A}",
    "timeout of a shell": f"exec timeout 1h bash -c '{A}; touch next'",
    "nice and env": f"exec nice env X=1 {A}",
    "setsid": f"exec setsid --wait {A}",
    "xargs": f"echo a 0.4 b 0.4 | exec xargs -n2 {PYTHON} rank.py",
    "a for loop": f"for name in a b c; do {PYTHON} rank.py $name 0.4; done",
    "TERM ignored": f"trap '' TERM; {A}",
}


@pytest.mark.parametrize("text", WRAPPERS.values(), ids=WRAPPERS)
def test_a_rank_under_a_shell_saves_and_nothing_comes_after_it(rig: Rig, text: str) -> None:
    """Whether the shell dies of the signal, traps it, or only waits: the save is made, once."""
    daemon = began(rig, "bash", "-c", text)
    exited = stop(daemon)
    assert float(rig.wait_for_file("a.saved"))
    left = {path.name for path in rig.folder.iterdir()}
    assert not left & {"next", "b.ready", "c.ready"}
    assert ("trapped" in left) == ("trapped" in text)
    assert exited["leftovers"] == 0


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_trap_runs_when_the_save_is_made(rig: Rig, shell: str) -> None:
    """A handler that removes the scratch directory must not do so under a rank that saves."""
    text = f"trap 'ls a.saved > order; exit 143' TERM; {A} & wait"
    daemon = began(rig, shell, "-c", text)
    assert stop(daemon)["code"] == 143
    assert (rig.folder / "order").read_text() == "a.saved\n"


LAUNCHERS = {
    "one after another": """\
subprocess.run(words + ["a", "0.4"])
subprocess.run(words + ["b", "0.4"])
""",
    "it kills what it started": """\
child = subprocess.Popen(words + ["a", "0.4"])
def end(*_):
    child.kill()
    os._exit(1)
signal.signal(signal.SIGTERM, end)
child.wait()
""",
    "its death interrupts them": """\
def fated():
    ctypes.CDLL(None).prctl(1, signal.SIGINT)
subprocess.run(words + ["a", "0.4"], preexec_fn=fated)
""",
    "a shell between": """\
subprocess.run(f"{words[0]} {words[1]} a 0.4; touch next", shell=True)
""",
}


@pytest.mark.parametrize("text", LAUNCHERS.values(), ids=LAUNCHERS)
def test_a_rank_under_a_python_launcher_saves(rig: Rig, text: str) -> None:
    """The launcher gets its signal when the rank has said how it ends."""
    head = f"import ctypes, os, signal, subprocess, sys\nwords = [{PYTHON!r}, 'rank.py']\n"
    daemon = began(rig, PYTHON, rig.script("launch.py", head + text))
    stop(daemon)
    assert float(rig.wait_for_file("a.saved"))
    assert not (rig.folder / "next").exists()
    assert not (rig.folder / "b.saved").exists()


def test_spawned_ranks_save_both(rig: Rig) -> None:
    """multiprocessing's parent is no rank: it ends with them, and not before them."""
    text = f"""\
import ctypes, multiprocessing, os, runpy, signal, sys
def rank(number):
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # as torch.multiprocessing.spawn does
    os.environ |= {{"LOCAL_RANK": str(number), "LOCAL_WORLD_SIZE": "2"}}
    sys.argv[1:] = [f"r{{number}}", "0.4"]
    runpy.run_path({str(rig.folder / "rank.py")!r})
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=rank, args=(number,)) for number in range(2)]
    [child.start() for child in children]
    [child.join() for child in children]
    sys.exit(children[0].exitcode)
"""
    daemon = began(rig, PYTHON, rig.script("spawn.py", text), ready=("r0", "r1"))
    stop(daemon)
    assert float(rig.wait_for_file("r0.saved"))
    assert float(rig.wait_for_file("r1.saved"))


NAMESPACES = {
    "a /proc of its own": ["unshare", "--fork", "--pid", "--mount-proc", PYTHON],
    "its parent's /proc": ["unshare", "--fork", "--pid", PYTHON],
    "under a shell": ["unshare", "--fork", "--pid", "bash", "-c", '"$0" "$@"; exit $?', PYTHON],
}


@pytest.mark.parametrize("words", NAMESPACES.values(), ids=NAMESPACES)
@pytest.mark.parametrize("reads", [True, False], ids=["reads the page", "has the signal alone"])
def test_a_rank_in_a_pid_namespace_saves(rig: Rig, words: list[str], reads: bool) -> None:
    """`unshare` blocks the signal; the rank's own number is not ours, and found by NSpid."""
    if subprocess.run(["unshare", "--fork", "--pid", "true"], check=False).returncode:
        pytest.skip("no PID namespace may be made here")
    script = rig.script("rank2.py", RANK if reads else OLD_WORKER)
    daemon = began(rig, *words, script, "a", "0.2")
    stop(daemon)
    assert float(rig.wait_for_file("a.saved"))


def test_a_worker_of_an_earlier_version_has_the_signal(rig: Rig) -> None:
    """It never reads the page's byte; under a shell the signal reaches it all the same."""
    script = rig.script("old.py", OLD_WORKER)
    daemon = began(rig, "bash", "-c", f"{PYTHON} {script} a 0.4; touch next")
    stop(daemon)
    assert float(rig.wait_for_file("a.saved"))
    assert not (rig.folder / "next").exists()


def test_a_handler_of_the_scripts_own_is_called(rig: Rig) -> None:
    """Set after attach(), it saves: a rank that reads the page gets the signal as well."""
    own = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: note('handled', '1'))\n"
    script = rig.script("own.py", RANK.replace("while not", own + "while not", 1))
    daemon = began(rig, "bash", "-c", f"{PYTHON} {script} a 0.2; true")
    stop(daemon)
    assert rig.wait_for_file("a.handled") == "1"
    assert float(rig.wait_for_file("a.saved"))


def test_a_rank_that_would_die_of_the_signal_saves_by_the_page(rig: Rig) -> None:
    """A library took the handler out: what reads the page does without the signal."""
    out = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
    script = rig.script("bare.py", RANK.replace("while not", out + "while not", 1))
    daemon = began(rig, PYTHON, script, "a", "0.2")
    assert stop(daemon)["code"] == 75
    assert float(rig.wait_for_file("a.saved"))


def test_a_rank_that_attaches_after_the_stop_saves(rig: Rig) -> None:
    """The page is written again at each look, and the late rank is told."""
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
    """SIGSTOP hit it and its shell: both go on, each in its turn."""
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
    """A quarter of the grace is left to the shell's own handler, though the rank still saves."""
    text = f"trap 'touch trapped; kill -9 $P; exit 3' TERM; {PYTHON} rank.py a 600 & P=$!; wait $P"
    daemon = began(rig, "bash", "-c", text)
    exited = stop(daemon, grace_s=2.0)
    assert exited["code"] == 3
    assert not (rig.folder / "a.saved").exists()


@pytest.mark.parametrize(
    ("grace_s", "due_s"), [(8.0, 6.0), (120.0, 110.0), (40.0, 30.0), (0.0, 0.0)]
)
def test_when_main_is_due(grace_s: float, due_s: float) -> None:
    """The grace but ten seconds of it, or but a quarter where that is less."""
    assert main_due_after(grace_s) == due_s


def test_a_repeat_with_less_time_counts(rig: Rig) -> None:
    """A scheduler shortens what is left: the main process's turn comes earlier."""
    text = f"trap 'kill -9 $P; exit 3' TERM; {PYTHON} rank.py a 600 & P=$!; wait $P"
    daemon = began(rig, "bash", "-c", text)
    daemon.send("stop", attempt=1, signal=15, grace_s=600.0)
    assert daemon.is_silent(0.5)
    assert stop(daemon, grace_s=0.5)["code"] == 3


def test_a_hang_is_told_to_all_at_once(rig: Rig) -> None:
    """Nobody waits for a rank that hangs; never to the group."""
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
    """LOCAL_WORLD_SIZE says two, one has a page: the launcher passes the signal on to both."""
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
    """It says neither a grace nor what kind of stop it is."""
    daemon = began(rig, "bash", "-c", f"{A}; touch next", SUPERVISOR_GRACE_S="30")
    daemon.send("stop", attempt=1, signal=15)
    daemon.expect("exited", timeout_s=30)
    assert float(rig.wait_for_file("a.saved"))


def test_the_launcher_alone_delivers_a_stop(rig: Rig) -> None:
    """No daemon comes up: a rank under a shell saves, and the exit code is 75."""
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


def test_pages_are_written_and_never_made(rig: Rig) -> None:
    """What is no page stays as it is; a page whose process is not to be found is written too."""
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

"""A stop reaches ranks under any parent, and the commands that follow them do not begin."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.launcher.attached_rank import PYTHON, RANK, A, began, stop
from tests.launcher.old_page import OLD_WORKER

if TYPE_CHECKING:
    from tests.launcher.conftest import Rig

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
    """If the shell dies of the signal, traps it, or only waits, the rank saves once.

    A shell's child that ends with it may be a moment later, and is one of the leftovers then.
    """
    daemon = began(rig, "bash", "-c", text)
    exited = stop(daemon)
    assert float(rig.wait_for_file("a.saved"))
    left = {path.name for path in rig.folder.iterdir()}
    assert not left & {"next", "b.ready", "c.ready"}
    assert ("trapped" in left) == ("trapped" in text)
    assert exited["leftovers"] <= 1


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_trap_runs_when_the_save_is_made(rig: Rig, shell: str) -> None:
    """A handler that removes the scratch directory must not run while a rank saves."""
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
    """The launch script gets its signal once the rank has reported its end."""
    head = f"import ctypes, os, signal, subprocess, sys\nwords = [{PYTHON!r}, 'rank.py']\n"
    daemon = began(rig, PYTHON, rig.script("launch.py", head + text))
    stop(daemon)
    assert float(rig.wait_for_file("a.saved"))
    assert not (rig.folder / "next").exists()
    assert not (rig.folder / "b.saved").exists()


@pytest.mark.parametrize("numbered", [True, False], ids=["with LOCAL_RANK", "without"])
def test_spawned_ranks_save_both(rig: Rig, numbered: bool) -> None:
    """multiprocessing's parent is not a rank: it ends after them.

    Without LOCAL_RANK only one rank owns the page, and the other rank saves longer.
    """
    text = f"""\
import ctypes, multiprocessing, os, runpy, signal, sys
def rank(number):
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # as torch.multiprocessing.spawn does
    if {numbered}:
        os.environ |= {{"LOCAL_RANK": str(number), "LOCAL_WORLD_SIZE": "2"}}
    sys.argv[1:] = [f"r{{number}}", f"{{number + 0.4}}"]
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


def test_a_helper_of_a_rank_is_not_waited_for(rig: Rig) -> None:
    """An evaluation that attaches, too, gets no signal, and is ended after its trainer."""
    start = "import subprocess; subprocess.Popen([sys.executable, 'eval.py', 'b', '0'])\n        "
    rig.script("eval.py", RANK.replace("while not run.should_stop", "while True"))
    # Once the trainer has beaten, the page is its own.
    script = rig.script("trainer.py", RANK.replace('note("ready"', start + 'note("ready"'))
    daemon = began(rig, "bash", "-c", f"{PYTHON} {script} a 1; touch next", ready=("a", "b"))
    assert stop(daemon)["leftovers"] == 1
    assert float(rig.wait_for_file("a.saved"))
    assert not (rig.folder / "next").exists()


NAMESPACES = {
    "a /proc of its own": ["unshare", "--fork", "--pid", "--mount-proc", PYTHON],
    "its parent's /proc": ["unshare", "--fork", "--pid", PYTHON],
    "under a shell": ["unshare", "--fork", "--pid", "bash", "-c", '"$0" "$@"; exit $?', PYTHON],
}


@pytest.mark.parametrize("words", NAMESPACES.values(), ids=NAMESPACES)
@pytest.mark.parametrize("reads", [True, False], ids=["reads the page", "has the signal alone"])
def test_a_rank_in_a_pid_namespace_saves(rig: Rig, words: list[str], reads: bool) -> None:
    """`unshare` blocks the signal; the rank's pid in its page is translated by NSpid."""
    if subprocess.run(["unshare", "--fork", "--pid", "true"], check=False).returncode:
        pytest.skip("no PID namespace may be made here")
    script = rig.script("rank2.py", RANK if reads else OLD_WORKER)
    daemon = began(rig, *words, script, "a", "0.2")
    stop(daemon)
    assert float(rig.wait_for_file("a.saved"))

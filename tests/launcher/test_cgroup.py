"""A cgroup for each attempt if the tree is delegated to the launcher; else none is made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.launcher import process_tree
from supervisor.system import cgroup
from supervisor.system.cgroup import Group
from tests.launcher.test_leftovers import DAEMONIZER
from tests.launcher.test_parked import parked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.launcher.conftest import Rig

ENTER = 'echo 0 > "$GROUP/cgroup.procs" && exec "$0" "$@"'
ANYBODY = 65534


def mounted() -> Path:
    """Where cgroup v2 is mounted. Without a mount the test fails, and is not skipped."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            return Path(line.split()[4])
    pytest.fail("no cgroup v2 is mounted here")


class Place:
    """A cgroup for the launcher of a test; `give` marks it as systemd's Delegate= does."""

    def __init__(self) -> None:
        self.path = mounted() / f"supervisor-test-{os.getpid()}"
        self.path.mkdir()

    def give(self, mark: str = "user.delegate") -> None:
        os.setxattr(self.path, mark, b"1")

    def groups(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir() if path.is_dir())

    def run(self, text: str, *prefix: str, **env: str) -> str:
        """Run Python text inside the cgroup; its output."""
        words = ["sh", "-c", ENTER, *prefix, sys.executable, "-c", text]
        done = subprocess.run(
            words,
            env={**os.environ, "GROUP": str(self.path), **env},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def close(self) -> None:
        everything = Group(str(self.path))
        while everything.is_populated():
            everything.kill()
        everything.remove()
        assert not self.path.exists()


@pytest.fixture
def place() -> Iterator[Place]:
    """A cgroup that is delegated to nobody."""
    place = Place()
    yield place
    place.close()


def start(rig: Rig, place: Place) -> None:
    """Start the launcher inside the cgroup."""
    rig.start(prefix=("sh", "-c", ENTER), env={"GROUP": str(place.path)})


@pytest.mark.root
def test_an_attempt_has_a_cgroup_of_its_own(rig: Rig, place: Place) -> None:
    """The attempt and its orphans are inside, launcher and daemon are not; then it is removed."""
    place.give()
    script = rig.script("daemonize.py", DAEMONIZER)
    start(rig, place)
    daemon = rig.daemon()
    started = rig.launch(daemon, sys.executable, script, "3", "clean", attempt=4)
    group = place.path / f"attempt-{rig.run_id}-4"
    assert started["cgroup"] == str(group)
    exited = daemon.expect("exited")
    assert (exited["code"], exited["leftovers"]) == (0, 3)
    for n in range(3):
        assert rig.is_gone(int((rig.folder / f"orphan{n}").read_text()))
    assert place.groups() == []
    assert str(rig.pid) in (place.path / "cgroup.procs").read_text().split()
    rig.finish(daemon)


@pytest.mark.root
def test_a_new_daemon_is_told_of_it_and_a_kill_takes_all(rig: Rig, place: Place) -> None:
    """The trainer divides its own cgroup and forks as fast as it can; the kill still ends all."""
    place.give()
    text = """\
import os, time
own = open("/proc/self/cgroup").read().split("0::")[1].split()[0].rsplit("/", 1)[1]
inner = os.path.join(os.environ["GROUP"], own, "inner")
os.mkdir(inner)
open(inner + "/cgroup.procs", "w").write("0")
open("inside.tmp", "w").write("1")
os.rename("inside.tmp", "inside")
os.setsid() if os.fork() == 0 else time.sleep(1000)
while True:
    if os.fork():
        os._exit(0)
"""
    start(rig, place)
    daemon = rig.daemon()
    started = rig.launch(daemon, sys.executable, rig.script("inner.py", text))
    rig.wait_for_file("inside")
    os.kill(daemon.pid, signal.SIGKILL)
    daemon = rig.daemon()
    assert daemon.hello["attempt"]["cgroup"] == started["cgroup"]
    daemon.send("kill", attempt=1)
    assert daemon.expect("exited")["signal"] == signal.SIGKILL
    assert place.groups() == []


@pytest.mark.root
def test_what_a_dead_launcher_left_is_found_by_its_cgroup_alone(rig: Rig, place: Place) -> None:
    """Processes without marks are ended before the next launch; a stranger beside them lives."""
    place.give()
    script = rig.script("daemonize.py", DAEMONIZER + "\ntime.sleep(1000)\n")
    start(rig, place)
    rig.launch(rig.daemon(), sys.executable, script, "2", "clean")
    orphans = [int(rig.wait_for_file(f"orphan{n}")) for n in range(2)]
    env = {"GROUP": str(place.path)}
    stranger = subprocess.Popen(["sh", "-c", ENTER, "sleep", "1000"], env={**os.environ, **env})
    try:
        rig.wait_until(lambda: str(stranger.pid) in _procs(place.path), "the stranger")
        os.kill(rig.pid, signal.SIGKILL)
        rig.wait()
        rig.wait_until(lambda: process_tree.find(rig.run_id, None) == [], "those with marks")
        assert not any(rig.is_gone(pid) for pid in orphans)
        start(rig, place)
        daemon = rig.daemon()
        rig.launch(daemon, "sleep", "1000", attempt=2)
        assert all(rig.is_gone(pid) for pid in orphans)
        assert place.groups() == [f"attempt-{rig.run_id}-2"]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def _procs(path: Path) -> list[str]:
    return (path / "cgroup.procs").read_text().split()


@pytest.mark.root
def test_a_cgroup_that_was_not_given_to_us_is_left_alone(rig: Rig, place: Place) -> None:
    """Root may write everywhere, but makes no cgroup: the attempt runs in the launcher's."""
    start(rig, place)
    daemon = rig.daemon()
    started = rig.launch(daemon, "sh", "-c", "cat /proc/self/cgroup; sleep 1000 & exit 0")
    assert started["cgroup"] is None
    exited = daemon.expect("exited")
    assert (exited["leftovers"], exited["oom_kills"]) == (1, None)
    assert place.groups() == []
    assert f"0::/{place.path.name}\n" in rig.log.read_text()


TELL = "import sys; sys.path[:0] = [{root!r}]; from supervisor.system import cgroup; "
TELL = TELL.format(root=str(Path(__file__).resolve().parents[2]))


@pytest.mark.root
def test_who_is_given_a_cgroup(place: Place) -> None:
    """A cgroup is ours by systemd's mark, as a namespace's root, or by chown to our user."""
    tell = TELL + "print(cgroup.settle())"
    assert place.run(tell) == "None"
    own_view = [
        *["unshare", "--cgroup", "--mount", "sh", "-c"],
        'mount -t cgroup2 none /mnt; exec "$@"',
    ]
    assert place.run(tell, *own_view, "sh") == "/mnt"
    user = ["setpriv", f"--reuid={ANYBODY}", f"--regid={ANYBODY}", "--clear-groups"]
    assert place.run(tell, *user) == "None"
    for path in (place.path, place.path / "cgroup.procs"):
        os.chown(path, ANYBODY, ANYBODY)
    assert place.run(tell, *user) == str(place.path)
    # Below systemd's user manager every cgroup is ours, but only a marked one is delegated.
    child = place.path / "session.scope"
    child.mkdir()
    for path in (child, child / "cgroup.procs"):
        os.chown(path, ANYBODY, ANYBODY)
    assert place.run(tell, *user, GROUP=str(child)) == "None"
    os.setxattr(child, "user.delegate", b"1")
    assert place.run(tell, *user, GROUP=str(child)) == str(child)


@pytest.mark.root
def test_for_a_controller_it_moves_into_a_leaf(place: Place) -> None:
    """The test uses any controller that cgroup v2 has here, because v1 may have taken memory."""
    controllers = (place.path.parent / "cgroup.controllers").read_text().split()
    if not controllers:
        pytest.skip("cgroup v2 has no controllers here")
    before = (place.path.parent / "cgroup.subtree_control").read_text().split()
    (place.path.parent / "cgroup.subtree_control").write_text(f"+{controllers[0]}")
    try:
        place.give()
        tell = TELL + f"cgroup.CONTROLLER = {controllers[0]!r}; print(cgroup.settle()); "
        tell += (
            "print(cgroup.own_folder()); print(cgroup.Group.make(cgroup.settle(), 'r', 1).folder)"
        )
        base, own, settled_again = place.run(tell).splitlines()
        assert (base, own) == (str(place.path), f"{place.path}/supervisor")
        # A launcher that starts inside that leaf was given nothing, because the leaf has no mark.
        assert settled_again == "None"
        control = (place.path / "cgroup.subtree_control").read_text().split()
        assert control == [controllers[0]]
        (place.path / "cgroup.subtree_control").write_text(f"-{controllers[0]}")
    finally:
        if controllers[0] not in before:
            (place.path.parent / "cgroup.subtree_control").write_text(f"-{controllers[0]}")


def test_kills_for_memory_are_read_from_the_attempts_own_group(tmp_path: Path) -> None:
    """memory.events of cgroup v2; None without a memory controller or without a group."""
    assert Group().oom_kills() is None
    assert Group(str(tmp_path)).oom_kills() is None
    events = "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n"
    (tmp_path / "memory.events").write_text(events)
    assert Group(str(tmp_path)).oom_kills() == 2


def test_without_a_group_nobody_is_in_it() -> None:
    """Without a group no process is in it, as on every machine without a delegated cgroup."""
    nothing = Group.make(None, "r", 1)
    nothing.kill()
    nothing.remove()
    assert (nothing.folder, nothing.pids(), nothing.is_populated()) == (None, [], False)
    assert Group.everything_of(None, "r").pids() == []
    assert Group.make("/proc/no/such/place", "r", 1).folder is None
    assert not cgroup.is_delegated("/proc/no/such/place")


@pytest.mark.root
def test_a_parked_interpreter_enters_it_at_go(rig: Rig, place: Place) -> None:
    """Before `go` the interpreter is in the launcher's cgroup, then in the attempt's."""
    place.give()
    text = "import subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True, env={})"
    script = rig.script("train.py", text)
    start(rig, place)
    daemon = rig.daemon()
    pid = parked(rig, daemon, sys.executable, script)
    assert str(pid) in _procs(place.path)
    started = rig.launch(daemon, sys.executable, script, attempt=3)
    assert (started["pid"], started["launch"]) == (pid, "warm")
    assert started["cgroup"] == str(place.path / f"attempt-{rig.run_id}-3")
    assert daemon.expect("exited")["leftovers"] == 1
    assert place.groups() == []
    rig.finish(daemon)

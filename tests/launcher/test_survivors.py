"""The daemon ends an attempt in the same way when the launcher, its parent, has died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from supervisor.launcher.termination import Survivors
from supervisor.system import identity

if TYPE_CHECKING:
    from pathlib import Path

    from tests.launcher.conftest import Rig


def orphan(rig: Rig, *argv: str | Path, attempt: int = 1, **env: str) -> None:
    """Start a marked process that is not this process's child."""
    marks = {"SUPERVISOR_RUN_ID": rig.run_id, "SUPERVISOR_ATTEMPT": str(attempt)}
    command = ["sh", "-c", 'setsid "$@" &', "sh", *map(str, argv)]
    subprocess.run(command, env={**os.environ, **marks, **env}, cwd=rig.folder, check=True)


def test_main_first_then_ranks_then_the_rest(rig: Rig, saver: Path) -> None:
    """main saves, then its rank; only then the helper processes are ended."""
    orphan(rig, sys.executable, saver, "main", "0.2")
    main = identity.identify(int(rig.wait_for_file("main.ready")))
    orphan(rig, sys.executable, saver, "rank", "0.2", LOCAL_RANK="0")
    rank = int(rig.wait_for_file("rank.ready"))
    orphan(rig, "sh", "-c", "trap '' TERM; echo > helper.ready; while :; do sleep 1; done")
    rig.wait_until(lambda: (rig.folder / "helper.ready").exists(), "the helper")
    survivors = Survivors(rig.run_id, 1, main=main)
    assert survivors.is_anything_left()
    assert survivors.main_is_alive()
    survivors.stop(signal.SIGTERM)
    survivors.stop(signal.SIGTERM)
    assert main is not None
    rig.wait_until(lambda: not identity.is_alive(main), "main's end")
    assert not rig.is_gone(rank)
    assert not (rig.folder / "rank.saved").exists()
    rig.wait_until(lambda: not survivors.advance(), "all to be gone")
    assert rig.wait_for_file("main.saved") == "1"
    assert rig.wait_for_file("rank.saved") == "1"
    assert not survivors.is_anything_left()
    assert survivors.unkillable() == ()


def test_kill_ends_all_attempts_of_the_run(rig: Rig) -> None:
    """Without an attempt number every attempt is ended; with one, only that attempt."""
    orphan(rig, "sleep", "1000", attempt=1)
    orphan(rig, "sleep", "1000", attempt=12)
    everything = Survivors(rig.run_id, None)
    rig.wait_until(lambda: len(everything.members()) == 2, "both")
    first = Survivors(rig.run_id, 1)
    assert len(first.members()) == 1
    first.kill()
    rig.wait_until(lambda: not first.advance(), "the first to be gone")
    assert len(everything.members()) == 1
    everything.kill()
    rig.wait_until(lambda: not everything.advance(), "all to be gone")
    assert len(everything.killed) == 1


def test_nothing_of_a_stranger(rig: Rig) -> None:
    """A run without living processes has no members; the caller is never one."""
    survivors = Survivors(rig.run_id, None)
    assert survivors.members() == []
    assert not survivors.advance()
    assert survivors.signal_exactly([os.getpid(), os.getppid()], signal.SIGKILL) == []


def test_what_was_seen_is_not_forgotten(rig: Rig) -> None:
    """A member whose environment later loses its marks (setproctitle) stays a member."""
    text = """\
import ctypes, os, time
open("ready", "w").write(str(os.getpid()))
while not os.path.exists("wipe"): time.sleep(0.01)
with open("/proc/self/stat") as f: fields = f.read().rpartition(") ")[2].split()
start, end = int(fields[47]), int(fields[48])
ctypes.memset(start, 0, end - start)
open("wiped", "w").write("1")
time.sleep(1000)
"""
    script = rig.script("wiper.py", text)
    orphan(rig, sys.executable, script)
    pid = int(rig.wait_for_file("ready"))
    survivors = Survivors(rig.run_id, 1)
    assert [process.pid for process in survivors.members()] == [pid]
    (rig.folder / "wipe").touch()
    rig.wait_for_file("wiped")
    assert Survivors(rig.run_id, 1).members() == []
    assert [process.pid for process in survivors.members()] == [pid]
    survivors.kill()
    rig.wait_until(lambda: not survivors.advance(), "its end")
    assert rig.is_gone(pid)


def test_too_long_a_kill_is_told_again_and_again(rig: Rig) -> None:
    """`unkillable` reports after its patience, not before, and not all the time."""
    orphan(rig, "sleep", "1000")
    survivors = Survivors(rig.run_id, 1, unkillable_after_s=2.0)
    rig.wait_until(survivors.members, "it")
    assert survivors.unkillable() == ()
    survivors.kill()  # begun, but not advanced: the process lives on, as if SIGKILL failed
    assert survivors.unkillable() == ()
    [entry] = rig.wait_until(survivors.unkillable, "its patience to end")
    assert (entry.comm, entry.state) == ("sleep", "S")
    assert survivors.unkillable() == ()
    assert len(rig.wait_until(survivors.unkillable, "the next word")) == 1

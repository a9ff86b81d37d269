"""Which shells a rank needs at a pipe: those must not be stopped while it saves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from supervisor.launcher import waiting_shells
from supervisor.system import procfs

# Keeps the named ends of a pipe, and starts a child with the given ends.
PARENT = """
import os, subprocess, sys
reading, writing = os.pipe()
kept, given = ([{"r": reading, "w": writing}[one] for one in word] for word in sys.argv[1:])
child = subprocess.Popen(["sleep", "1000"], pass_fds=given, stdin=subprocess.DEVNULL)
for fd in {reading, writing} - set(kept):
    os.close(fd)
print(child.pid, flush=True)
sys.stdin.read()
child.kill()
child.wait()
"""


@pytest.mark.parametrize(
    ("kept", "given", "is_needed"),
    [("r", "w", True), ("w", "r", True), ("rw", "rw", False), ("w", "w", False), ("r", "r", False)],
    ids=["reads", "feeds", "job server", "same output", "same input"],
)
def test_who_is_needed_at_a_pipe(kept: str, given: str, is_needed: bool) -> None:
    """A shell is needed if it has the other end of its child's input or output."""
    words = [sys.executable, "-c", PARENT, kept, given]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        found = [procfs.read_process(pid) for pid in (parent.pid, int(parent.stdout.readline()))]
        outer, rank = (one for one in found if one is not None)
        table = {outer.pid: outer, rank.pid: rank}
        assert waiting_shells.is_needed(outer, [rank], table, outer.pid) is is_needed
        parent.communicate()

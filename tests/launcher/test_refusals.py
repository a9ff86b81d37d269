"""Signals are delivered when Python has no pidfd functions, and when the kernel refuses them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.refusals import refusing, without_functions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.launcher.conftest import Rig

DEAF = """\
import os, signal, subprocess, sys, time
def told(number, frame):
    os.rename("main.pid", "main.told")
signal.signal(signal.SIGTERM, told)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
open("main.tmp", "w").write(f"{os.getpid()} {child.pid}")
os.rename("main.tmp", "main.pid")
while True:
    time.sleep(0.01)
"""


@pytest.mark.parametrize("how", ["no functions", "ENOSYS", "EPERM"])
def test_stops_and_kills_are_delivered(rig: Rig, tmp_path: Path, how: str) -> None:
    """A stop reaches main; SIGKILL ends main and its child; the launcher logs no error."""
    main = rig.script("main.py", DEAF)
    if how == "no functions":
        rig.start(env=without_functions(tmp_path / "shadow", no_site=True))
    else:
        rig.start(prefix=tuple(refusing(how)))
    daemon = rig.daemon()
    # The launcher alone is changed: the trainer's Python is the user's.
    rig.launch(daemon, sys.executable, main, unset=["PYTHONPATH"])
    pid, child = (int(word) for word in rig.wait_for_file("main.pid").split())
    daemon.send("stop", attempt=1, signal=15)
    rig.wait_for_file("main.told")
    assert not rig.is_gone(pid)
    daemon.send("kill", attempt=1)
    exited = daemon.expect("exited")
    assert exited["signal"] == 9
    assert rig.is_gone(pid)
    assert rig.is_gone(child)
    rig.finish(daemon)
    assert rig.stderr.read_text() == ""

"""Attached ranks for the tests of stops: their script, their launch and their stop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.launcher.conftest import Daemon, Rig

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable

# A rank like a training script: it saves for `save_s` seconds, and reports in files.
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
    """Start a launcher and a command that runs these ranks; wait until the named ones train."""
    rig.script("rank.py", RANK)
    rig.start()
    daemon = rig.daemon()
    launch(rig, daemon, *argv, **env)
    for name in ready:
        rig.wait_for_file(f"{name}.ready")
    return daemon


def stop(daemon: Daemon, **more: Any) -> dict[str, Any]:
    """Order a stop, and return how the attempt ended."""
    daemon.send("stop", attempt=1, signal=15, **{"grace_s": 60.0, **more})
    return daemon.expect("exited", timeout_s=30)


A = f"{PYTHON} rank.py a 0.4"

"""A whole run when Python lacks pidfd_open and memfd_create, or the kernel refuses them."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Supervised
from tests.refusals import refusing, without_functions


@pytest.mark.slow
@pytest.mark.parametrize("how", ["no functions", "ENOSYS", "EPERM"])
def test_a_run_goes_on_and_stops(run: Supervised, tmp_path: Path, how: str) -> None:
    """attach() works, the relaunch is warm, hangs are ended, stops are saved; `check` says how."""
    hangs = how == "EPERM"  # ending a hang takes a grace of 15 s
    env: dict[str, Any] = {"STEPS": 100_000, "FAULTS": '{"2": [25, "hang"]}' if hangs else "{}"}
    run.configure(hold=12, env=env, watch={"heartbeat_timeout": "2s"} if hangs else {})
    if how == "no functions":
        run.environ = without_functions(tmp_path / "site")
    else:
        run.prefix = refusing(how)
    said = " ".join(run.raw("check", str(run.config)).stdout.split())
    by_call = "signals each process is held by a pidfd, from the system call itself"
    by_number = f"pidfd_open is refused here ({how})"
    assert (by_call if how == "no functions" else by_number) in said
    run.start()

    def parked() -> bool:
        known = (run.status.get("launch") or {}).get("parked") or {}
        return known.get("state") == "waiting" and run.status.get("step") == 12

    run.wait(parked)
    run.let_go()
    os.kill(run.status["pids"]["trainer"], signal.SIGKILL)
    run.wait_step(25, attempt=2)
    assert run.entries("attempt_started")[1]["launch"] == "warm"
    run.wait_step(30, attempt=3 if hangs else 2)
    assert run.command("stop").returncode == 0
    assert run.finish() == 75
    assert "saved at step" in run.text
    assert "internal error" not in run.text
    assert run.strays() == []

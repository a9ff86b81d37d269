"""Console scripts are relaunched warm, and those that start other processes stay right."""

import os
import signal
import sys
from pathlib import Path

import pytest

from supervisor.system.identity import start_ticks
from tests.e2e.conftest import Supervised
from tests.e2e.test_warm_launch import PYTHON, SCRIPT, configure, kill, parked

RANKS = Path(__file__).with_name("ranks.py")


def install_tool(run: Supervised, head: str, body: str) -> None:
    """Install a console script in a folder of its own on the trainer's PATH."""
    folder = run.folder / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "tool").write_text(head + body)
    (folder / "tool").chmod(0o755)


def test_a_console_script_comes_back_warm_and_stops_in_order(run: Supervised) -> None:
    """A tool found by PATH is parked after its first step; kill and stop go as with a script."""
    install_tool(run, f"#!{PYTHON}\n", SCRIPT.read_text())
    path = f"{run.folder / 'bin'}:{os.environ['PATH']}"
    configure(run)
    run.configure(
        command=["tool", "sft"],
        checkpoints={"directory": "saves"},
        env={"HOME": run.folder, "PYTHONPATH": Path(__file__).parents[2], "PATH": path},
    )
    process = run.start()
    spare = parked(run, 1)
    entry = kill(run, 1)
    assert (entry["launch"], entry["pid"], entry["why_cold"]) == ("warm", spare, None)
    shown = Path(f"/proc/{spare}/cmdline").read_bytes().split(b"\0")
    assert shown[:3] == [os.fsencode(PYTHON), os.fsencode(run.folder / "bin" / "tool"), b"sft"]
    assert Path(f"/proc/{spare}/comm").read_text() == "tool\n"
    parked(run, 2)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert run.entries("attempt_ended")[-1]["outcome"] == 75
    assert run.strays() == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_torchruns_own_process_is_warm_and_its_ranks_are_its_children(run: Supervised) -> None:
    """A rank's death and a stop go as with a cold torchrun; the ranks are found, none is left."""
    saves = run.folder / "saves"
    saves.mkdir()
    torchrun = Path(sys.executable).with_name("torchrun")
    run.configure(
        command=[str(torchrun), "--standalone", "--nproc-per-node=2", str(RANKS), str(saves)],
        checkpoints={"directory": str(saves)},
        grace="60s",
        watch={"heartbeat_timeout": "30s"},
        env={"OMP_NUM_THREADS": "1", "GATE": run.gate},
    )
    process = run.start()

    def waits() -> object:
        known = (run.status.get("launch") or {}).get("parked") or {}
        return known.get("state") == "waiting" and known["pid"]

    run.wait(lambda: (run.status.get("step") or 0) >= 20, 150)
    spare = run.wait(waits, 150)
    entry = kill(run, 1)
    assert (entry["launch"], entry["pid"], entry["why_cold"]) == ("warm", spare, None)
    run.wait(lambda: run.status.get("attempt") == 2 and (run.status.get("step") or 0) >= 5, 150)
    assert run.status["world_size"] == 2
    spare = run.wait(waits, 150)
    process.send_signal(signal.SIGTERM)
    run.let_go()
    assert run.finish(150) == 75
    end = run.entries("attempt_ended")[-1]
    assert (end["saved"], end["outcome"], end["code"]) == (True, 75, 1)
    assert run.strays() == []
    assert start_ticks(spare) is None

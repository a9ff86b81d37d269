"""Keeps ledgers of a version, so that tests can check that later versions read them.

Run `python -m tests.golden.keep_ledgers VERSION FOLDER` in that version's tree. If the tree has no
such file, copy `tests/` of a later version into it. Commit FOLDER/VERSION-….
"""

import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supervisor.rundir.ledger import encode_entry, read_ledger
from supervisor.system.identity import boot_id
from tests.e2e.conftest import HANG, Supervised
from tests.e2e.test_checkpoint_damage import damage
from tests.e2e.test_memory_tier import NEVER, Remembering
from tests.golden.normal import ROOT

HOME, USER, HOST = "/home/me/demo", "1000", "node1"
BOOT = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"


def carried(run: Supervised) -> None:
    """Killed, relaunched warm, daemons replaced, stopped, damaged, rolled back, and finished."""
    steps = {"STEPS": "50"}
    run.configure(hold=15, env=steps, launch={"mode": "auto"})
    process = run.start()
    trainer = run.wait_step(15)
    run.wait(lambda: run.entries("parked"))
    os.kill(trainer, signal.SIGKILL)
    run.wait_step(15, 2)
    for replace in (lambda pid: run.command("reload"), lambda pid: os.kill(pid, signal.SIGKILL)):
        before = run.status["pids"]["daemon"]
        replace(before)
        run.wait(lambda old=before: run.status["pids"]["daemon"] != old)
        run.wait_step(15)
    for word, intent in (("hold", "hold"), ("resume", "run")):
        run.command(word)
        run.wait(lambda wanted=intent: run.status.get("intent") == wanted)
    process.terminate()
    assert run.finish() == 75
    damage(run.run_dir / "checkpoint-15" / "model.pt", "flip")
    faults = {"3": [25, "raise"], "4": [25, "raise"]}
    run.configure(env={"FAULTS": json.dumps(faults), "STEPS": "40"})
    assert run.run() == 0
    run.configure(env=steps)
    assert run.run("--again") == 0


def held(run: Supervised) -> None:
    """A hang, a crash loop, all processes killed after a resume, and the trainer's exit 78."""
    faults = {"1": [5, "stall"], "*": [3, "exit9"]}
    restart = {"backoff": "0.1s", "max_failures": 3}
    run.configure(env={"FAULTS": json.dumps(faults)}, watch=HANG, restart=restart)
    assert run.run() == 1
    run.command("resume")
    run.configure(hold=12)
    process = run.start()
    pids = [run.wait_step(12), run.status["pids"]["daemon"]]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    process.kill()
    process.wait()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    run.wait(lambda: not run.strays())
    run.configure(env={"FAULTS": '{"*": [15, "exit78"]}'})
    assert run.run() == 1


def remembered(run: Supervised) -> None:
    """Killed, resumed from memory, and rescued before the hold."""
    assert isinstance(run, Remembering)
    faults = {"1": [17, "kill"], "2": [26, "exit78"]}
    run.set(env={"FAULTS": json.dumps(faults), "STEP_S": "0.05", "SAVE_EVERY": NEVER})
    assert run.run() == 1


SCENARIOS: dict[str, tuple[type[Supervised], Callable[[Any], None]]] = {
    "carried": (Supervised, carried),
    "held": (Supervised, held),
    "remembered": (Remembering, remembered),
}


class _Moved:
    """Renames places and machine in a record; times and pids stay."""

    def __init__(self, folder: Path) -> None:
        self._words = {
            str(folder): HOME, sys.executable: "/usr/bin/python3", str(ROOT): "/home/me",
            socket.gethostname(): HOST, boot_id(): BOOT,
            f"train-supervisor-{os.getuid()}/": f"train-supervisor-{USER}/",
        }  # fmt: skip

    def __call__(self, value: Any) -> Any:
        match value:
            case dict():
                return {self(key): self(one) for key, one in value.items()}
            case list():
                return [self(one) for one in value]
            case str():
                for word, other in self._words.items():
                    value = value.replace(word, other)
        return value


def main(version: str, target: Path) -> None:
    """Run each scenario, and keep its ledger and its status.json."""
    for name, (kind, scenario) in SCENARIOS.items():
        folder = Path(tempfile.mkdtemp(prefix="ledger-")).resolve()
        run = kind(folder)
        try:
            scenario(run)
        finally:
            run.close()
        moved, kept = _Moved(folder), target / f"{version}-{name}"
        kept.mkdir(parents=True, exist_ok=True)
        entries = [encode_entry(moved(entry)) for entry in read_ledger(run.paths.ledger)]
        (kept / "ledger.jsonl").write_bytes(b"".join(entries))
        (kept / "status.json").write_text(json.dumps(moved(run.status)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""One script, launched cold and warm by real launchers, finds the same of everything.

The other tests here play the launcher's part. Only sys.modules differs, by names that are listed.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from test_equality import PROBE, differences
from test_modules import NEEDED, NEVER, WITH_A_RECORD, Program
from test_modules import program as program  # a fixture

from tests.e2e.conftest import Supervised

# These lines follow the probe's. They write the facts and, after a step, the imported modules. An
# attached program attaches before it tells: a warm one has those imports before its first line.
REST = """
    {step}
    facts = everything()
    step()
    place = f"attempt-{{os.environ['SUPERVISOR_ATTEMPT']}}.json"
    with open(f"{{place}}.new", "w") as file:
        json.dump({{"facts": facts, "last": sorted(sys.modules)}}, file)
    os.rename(f"{{place}}.new", place)
    import time
    while True:
        time.sleep(0.1)
        step()
"""
ATTACHED = """from supervisor.worker import attach
    run = attach()
    step = lambda: run.beat(step=1)"""
NOTED = "SUPERVISOR_IMPORTS"
UNATTACHED = """step = lambda: print("step 1", flush=True)"""


class Launched(Supervised):
    """A run of the probe in a folder of its own."""

    def __init__(self, folder: Path, mode: str, step: str) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.is_warm = mode == "warm"
        head, _, _ = PROBE.read_text().rpartition("    tell()\n")
        (folder / "script.py").write_text(head + REST.format(step=step))
        more = {} if step is ATTACHED else {"resume": {"by": "trainer"}}
        self.configure(
            command=[sys.executable, "script.py", "--word"],
            launch={"mode": mode},
            watch={"heartbeat_timeout": "60s", "progress": r"^step (?P<step>\d+)"},
            env={"PYTHONHASHSEED": "7"},
            **more,
        )

    def told(self, attempt: int) -> dict[str, Any]:
        """What an attempt reported, with this run's own id, launcher and folder replaced."""
        path = self.folder / f"attempt-{attempt}.json"
        text = self.wait(lambda: path.exists() and path.read_text())
        launcher = next(
            value
            for name, value in json.loads(text)["facts"]["process"]["environ"]
            if name == "SUPERVISOR_LAUNCHER"
        )
        for own in (launcher, str(self.status["run_id"]), str(self.folder)):
            text = text.replace(own, "<own>")
        return dict(json.loads(text))

    def second_attempt(self) -> dict[str, Any]:
        """Launch, kill, and return what the second attempt reports."""
        self.start()
        self.told(1)
        if self.is_warm:
            self.wait(lambda: (self.status.get("launch") or {})["parked"]["state"] == "waiting")
        os.kill(self.status["pids"]["trainer"], signal.SIGKILL)
        return self.told(2)


def without_record(found: Any) -> Any:
    """The facts without the variable that says where the program records its imports."""
    if isinstance(found, dict):
        kept = {name: one for name, one in found.items() if name != NOTED}
        return {name: without_record(one) for name, one in kept.items()}
    if not isinstance(found, list):
        return found
    return [
        without_record(one)
        for one in found
        if not (isinstance(one, list) and one[:1] == [NOTED])
        and not (isinstance(one, str) and one.startswith(f"{NOTED}="))
    ]


@pytest.mark.parametrize("step", [ATTACHED, UNATTACHED], ids=["attached", "unattached"])
def test_cold_and_warm(step: str, tmp_path: Path, program: Program) -> None:
    """Each extra name in a warm program's sys.modules is the program's own, or has its reason."""
    runs = {mode: Launched(tmp_path / mode, mode, step) for mode in ("cold", "warm")}
    try:
        cold, warm = (runs[mode].second_attempt() for mode in ("cold", "warm"))
        first = runs["warm"].told(1)
        for mode, one in runs.items():
            assert one.entries("attempt_started")[1]["launch"] == mode
    finally:
        for one in runs.values():
            one.close()
    found = differences(without_record(cold["facts"]), without_record(warm["facts"]))
    # This package was preloaded.
    assert found.keys() <= ({"python.ours_in_modules"} if step is ATTACHED else set()), found
    at_first = {name: set(one["facts"]["modules"]) for name, one in (("c", cold), ("w", warm))}
    assert at_first["c"] <= at_first["w"]
    own = set(first["last"]) if step is ATTACHED else at_first["c"]
    allowed = program.brought_by({**NEEDED, **WITH_A_RECORD})
    assert at_first["w"] - own - allowed == set()
    assert not (at_first["w"] - own) & NEVER

"""Launcher and daemon each take the other for another version; the run goes on as usual."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import uninterrupted
from tests.golden.conftest import Overheard

TAMPERING = Path(__file__).with_name("tampering.py")


class Tampered(Overheard):
    """A run whose launcher and daemon exchange another version's messages."""

    version = "later"

    @property
    def relay(self) -> list[str]:
        """The script that changes the messages."""
        return [str(TAMPERING), self.version]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Tampered]:
    """A run in a fresh directory."""
    tampered = Tampered(tmp_path)
    yield tampered
    tampered.close()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["later", "earlier"])
def test_a_run_with_a_death_of_each_and_a_stop(run: Tampered, version: str) -> None:
    """Launches, deaths, a stop and a new lock work as between equal versions."""
    run.version = version
    run.configure(hold=15, launch={"mode": "auto"})
    process = run.start()
    run.wait_step(15)
    run.wait(lambda: run.entries("parked"))
    os.kill(run.status["pids"]["trainer"], signal.SIGKILL)
    run.wait_step(15, 2)
    assert run.entries("attempt_started")[1]["launch"] == "warm"
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: run.status["pids"]["daemon"] != daemon)
    run.paths.lock.unlink()
    run.wait(lambda: run.entries("record_remade"))
    run.wait(lambda: len(run.entries("daemon_started")) == 3 and run.status.get("step"))
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    run.let_go()
    run.start()
    assert run.finish() == 0
    assert run.weight() == uninterrupted()
    first, second, third = run.entries("attempt_ended")
    assert (first["signal"], second["saved"], third["code"]) == (9, True, 0)
    assert "internal error" not in run.text
    lines = [json.loads(line) for line in run.paths.log.read_text().splitlines()]
    told = [line for line in lines if line["level"] in ("error", "warning")]
    told = [line for line in told if line["event"] != "record_removed"]
    if version == "earlier":
        assert told == []
        return
    assert {line["event"] for line in told} == {"unknown_protocol", "report_left_out"}
    assert {line.get("what") for line in told} == {None, "dance", "7"}
    assert "the launcher speaks version 99 of its protocol with the daemon" in run.text
    # Each kind is reported ever more seldom, with the number so far.
    assert "the daemon asked for 'dance', which is unknown, 2 times so far" in run.text
    assert "'dance', which is unknown, 3 times so far" not in run.text


def test_a_configuration_with_more_in_it(run: Tampered) -> None:
    """A daemon goes on with a later version's configuration, and names the keys it ignores."""
    run.version = "earlier"
    run.configure(hold=15)
    run.start()
    trainer = run.wait_step(15)
    kept = json.loads(run.paths.config.read_text())
    kept["checkpoints"]["guard"] = {"77": "hold"}
    run.paths.config.write_text(json.dumps({**kept, "telemetry": {"file": "m.prom"}}))
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: run.status["pids"]["daemon"] != daemon)
    assert run.wait_step(15) == trainer
    (warning,) = run.status["warnings"]
    assert "ignores keys" in warning
    assert warning.endswith(("checkpoints.guard, telemetry", "telemetry, checkpoints.guard"))
    assert warning in run.text
    run.let_go()
    assert run.finish() == 0
    assert run.weight() == uninterrupted()

"""Ended runs that systemd must not start again, and what it shows of them."""

import json

import pytest

from tests.rigs.systemd.conftest import UnitUnderTest

pytestmark = [pytest.mark.rig, pytest.mark.timeout(180)]
SAME_DEATH = json.dumps({str(attempt): [5, "raise"] for attempt in range(1, 20)})


def test_finished_run_is_not_started_again(unit: UnitUnderTest) -> None:
    """Neither Restart=always nor a boot trains a finished run again."""
    unit.configure(env={"STEPS": 20})
    unit.start()
    unit.wait_state("inactive")
    facts = unit.shown("Result", "ExecMainStatus", "NRestarts", "StatusText")
    assert (facts["Result"], facts["ExecMainStatus"]) == ("success", "0")
    assert facts["NRestarts"] == "0"
    assert facts["StatusText"].startswith("completed")
    unit.systemctl("start")
    unit.wait_state("inactive")
    facts = unit.shown("Result", "ExecMainStatus", "NRestarts", "StatusText")
    assert (facts["Result"], facts["NRestarts"]) == ("success", "0")
    assert "finished" in facts["StatusText"]
    assert len(unit.entries("attempt_started")) == 1


def test_held_run_stays_held_and_says_so(unit: UnitUnderTest) -> None:
    """The unit has failed with exit 1 and is not restarted; `systemctl status` shows why."""
    unit.configure(env={"FAULTS": SAME_DEATH})
    unit.start()
    unit.wait_state("failed")
    shown = unit.systemctl("status", "--no-pager", check=False)
    assert "status=1/FAILURE" in shown
    held = [line for line in shown.splitlines() if "Status:" in line]
    assert held, shown
    assert "held: " in held[0]
    assert "supervisor resume" in held[0]
    attempts = len(unit.entries("attempt_started"))
    before = unit.fact("NRestarts")
    unit.systemctl("start", check=False)
    unit.wait_state("failed")
    assert unit.fact("NRestarts") == before == "0"
    assert "held: " in unit.fact("StatusText")
    assert len(unit.entries("attempt_started")) == attempts
    unit.configure()
    unit.supervisor("resume", str(unit.run_dir))
    unit.systemctl("start")
    unit.wait_step(6, attempt=attempts + 1)


def test_wrong_configuration_is_not_tried_again(unit: UnitUnderTest) -> None:
    """A configuration broken after the installation exits 78 once, and names the line."""
    unit.install()
    unit.config.write_text("name: x\ncommand: [true]\nbogus_key: 1\n")
    unit.systemctl("start", check=False)
    unit.wait_state("failed")
    assert unit.shown("ExecMainStatus", "NRestarts") == {"ExecMainStatus": "78", "NRestarts": "0"}
    assert any("bogus_key" in str(entry["MESSAGE"]) for entry in unit.journal())


def test_journal_is_readable(unit: UnitUnderTest) -> None:
    """One event per line, without a time in the text, with a fitting priority."""
    unit.configure(env={"FAULTS": SAME_DEATH})
    unit.start()
    unit.wait_state("failed")
    lines = [(str(e["MESSAGE"]), int(e["PRIORITY"])) for e in unit.journal()]
    started = [entry for entry in lines if entry[0].startswith("attempt 1 started")]
    assert [priority for _, priority in started] == [6]
    assert any(priority == 4 and "bad batch" in text for text, priority in lines), lines
    assert any(priority == 3 and text.startswith("held: ") for text, priority in lines), lines
    assert {e["SYSLOG_IDENTIFIER"] for e in unit.journal()} == {"supervisor"}
    assert not any(text.startswith("<") for text, _ in lines)

"""The previous version's launcher, with an interpreter that is parked from this tree."""

from typing import Any

from supervisor.system.identity import start_ticks
from tests.e2e.conftest import TRAINER
from tests.upgrade.conftest import Living


def configure(run: Living) -> None:
    """Configure a run of a script that imports an installed package.

    The previous version did not park a script that imports only this package.
    """
    run.site.package.with_name("heavy.py").write_text("")
    script = run.folder / "script.py"
    script.write_text(TRAINER.read_text().replace("import json\n", "import heavy, json\n", 1))
    run.configure(hold=15, script=script, launch={"mode": "auto"})


def parked(run: Living, attempt: int) -> int:
    """Wait until an attempt holds and the next is parked; the parked interpreter's pid."""

    def is_so() -> Any:
        status = run.status
        known = (status.get("launch") or {}).get("parked") or {}
        return status.get("attempt") == attempt and known.get("state") == "waiting" and known

    run.wait_step(15, attempt)
    return int(run.wait(is_so)["pid"])


def test_a_warm_launch_from_the_new_tree(run: Living) -> None:
    """An interpreter parked before is refused, because its files have changed; the next is used."""
    configure(run)
    run.start()
    old = parked(run, 1)
    run.upgrade()
    run.reload()
    run.kill_trainer(1)
    first = run.entries("attempt_started")[-1]
    assert first["launch"] == "cold"
    assert first["why_cold"].endswith(" has changed")
    assert start_ticks(old) is None
    spare = parked(run, 2)
    run.kill_trainer(2)
    second = run.entries("attempt_started")[-1]
    assert (second["launch"], second["pid"], second["why_cold"]) == ("warm", spare, None)
    parked(run, 3)
    run.let_go()
    run.check_end(3)
    assert run.steps_done == [*range(1, 16), *range(11, 16), *range(11, 41)]


def test_a_new_daemon_finds_what_is_parked(run: Living) -> None:
    """The new daemon keeps an interpreter that the old one ordered, and refuses it if need be.

    The old daemon knows no start-up hook, so its interpreter has none. The next one is warm.
    """
    configure(run)
    run.start()
    parked(run, 1)
    run.upgrade()
    run.kill_trainer(1)
    spare = parked(run, 2)
    run.reload()
    assert parked(run, 2) == spare
    run.kill_trainer(2)
    second = run.entries("attempt_started")[-1]
    assert second["launch"] == "cold"
    assert second["why_cold"].endswith("environment")
    assert start_ticks(spare) is None
    spare = parked(run, 3)
    run.kill_trainer(3)
    third = run.entries("attempt_started")[-1]
    assert (third["launch"], third["pid"], third["why_cold"]) == ("warm", spare, None)
    parked(run, 4)
    run.let_go()
    run.check_end(4)


def test_a_program_that_imports_only_this_package(run: Living) -> None:
    """A program that imports only this package is warm, too: its imports count as the program's."""
    run.upgrade()
    run.configure(hold=15, launch={"mode": "auto"})
    run.start()
    spare = parked(run, 1)
    run.kill_trainer(1)
    assert run.entries("attempt_started")[-1]["pid"] == spare
    run.let_go()
    run.check_end(2)
